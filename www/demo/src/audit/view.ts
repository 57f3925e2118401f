import { type Thresholds, thresholdOf } from '../policy/thresholds.js';
import { categoryOf, finalRating, modelRating, reviewState, type Row } from './row.js';
import { isStale, type Present } from './rows.js';

/** Which rows are shown. */
export interface Filter {
  /** By what counts for them, or by how they stand; `failed` are those that could not be judged. */
  state: 'all' | 'Unsafe' | 'Safe' | 'failed' | 'waiting';
  /** A category's id; all where empty. */
  category: string;
  review: 'all' | 'open' | 'confirmed' | 'overruled';
  /** Those alone whose assessment is of another policy, model or detail. */
  stale: boolean;
  /** A part of their path, whatever its case. */
  text: string;
}

export const SHOW_ALL: Filter = {
  state: 'all',
  category: '',
  review: 'all',
  stale: false,
  text: '',
};

/** What rows are ordered by; `doubt` is nearness to the threshold. */
export type SortKey = 'added' | 'path' | 'rating' | 'category' | 'probability' | 'doubt' | 'review';

export interface Sort {
  key: SortKey;
  descending: boolean;
}

/** What rating and staleness depend on. */
export interface InForce {
  thresholds: Thresholds;
  present: Present | undefined;
}

/** The rows to show, in order. Rows without the value they are ordered by come last either way. */
export function view(
  rows: readonly Row[],
  filter: Filter,
  sort: Sort,
  { thresholds, present }: InForce,
): Row[] {
  const text = filter.text.trim().toLowerCase();
  const shown = rows.filter((row) => {
    return (
      (filter.state === 'all' || stateOf(row, thresholds) === filter.state)
      && (filter.category === '' || (row.kept && categoryOf(row.kept).id === filter.category))
      && (filter.review === 'all' || reviewMatches(row, filter.review, thresholds))
      && (!filter.stale || isStale(row, present))
      && (text === '' || row.path.toLowerCase().includes(text))
    );
  });
  const value = VALUES[sort.key];
  const sign = sort.descending ? -1 : 1;
  const keyed = shown.map((row) => ({ row, value: value(row, thresholds) }));
  keyed.sort((a, b) => {
    if (a.value === undefined || b.value === undefined) {
      return Number(a.value === undefined) - Number(b.value === undefined) || a.row.id - b.row.id;
    }
    return sign * compare(a.value, b.value) || a.row.id - b.row.id;
  });
  return keyed.map(({ row }) => row);
}

/** How a row counts in filters and totals. */
export function stateOf(row: Row, thresholds: Thresholds): Exclude<Filter['state'], 'all'> {
  if (row.state === 'failed' && !row.review) return 'failed';
  return finalRating(row, thresholds) ?? 'waiting';
}

/** What nobody can have looked at yet is not open for review. */
function reviewMatches(row: Row, wanted: Filter['review'], thresholds: Thresholds): boolean {
  const judged = row.kept !== undefined || row.state === 'failed' || row.review !== undefined;
  return judged && reviewState(row, thresholds) === wanted;
}

const names = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' });

function compare(a: number | string, b: number | string): number {
  return typeof a === 'string' || typeof b === 'string'
    ? names.compare(String(a), String(b))
    : a - b;
}

const RATINGS = { Unsafe: 0, Safe: 1, failed: 2, waiting: undefined };
const REVIEWS = { open: 0, overruled: 1, confirmed: 2 };

const VALUES: Record<SortKey, (row: Row, thresholds: Thresholds) => number | string | undefined> = {
  added: ({ id }) => id,
  path: ({ path }) => path,
  rating: (row, thresholds) => RATINGS[stateOf(row, thresholds)],
  category: ({ kept }) => kept?.category,
  probability: ({ kept }) => kept?.unsafeProbability,
  doubt: ({ kept }, thresholds) =>
    kept && Math.abs(kept.unsafeProbability - thresholdOf(thresholds, categoryOf(kept).id)),
  review: (row, thresholds) =>
    modelRating(row, thresholds) && REVIEWS[reviewState(row, thresholds)],
};
