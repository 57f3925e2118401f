import type { Thresholds } from '../policy/thresholds.js';
import { categoryOf, finalRating, reviewState, type Row } from './row.js';

/** How many pictures of a category there are, by what counts for them. */
export interface CategoryCount {
  id: string;
  name: string;
  safe: number;
  unsafe: number;
}

/** An audit in figures. */
export interface Tally {
  total: number;
  safe: number;
  unsafe: number;
  /** Could not be judged, and nobody has said what counts. */
  failed: number;
  /** Neither judged nor failed yet. */
  waiting: number;
  confirmed: number;
  overruled: number;
  /** In the policy's order; those without a picture are there with zeros. */
  categories: CategoryCount[];
}

/** Counts rows; a person's word goes before the model's. */
export function tally(rows: readonly Row[], thresholds: Thresholds): Tally {
  const found: Tally = {
    total: rows.length,
    safe: 0,
    unsafe: 0,
    failed: 0,
    waiting: 0,
    confirmed: 0,
    overruled: 0,
    categories: [],
  };
  const counts = new Map<string, CategoryCount>();
  for (const row of rows) {
    const review = reviewState(row, thresholds);
    if (review !== 'open') found[review]++;
    const rating = finalRating(row, thresholds);
    if (rating === 'Safe') found.safe++;
    else if (rating === 'Unsafe') found.unsafe++;
    else if (row.state === 'failed') found.failed++;
    else found.waiting++;
    if (!row.kept) continue;
    for (const { id, name } of row.kept.under.categories) {
      if (!counts.has(id)) counts.set(id, { id, name, safe: 0, unsafe: 0 });
    }
    const { id, name } = categoryOf(row.kept);
    const count = counts.get(id) ?? { id, name, safe: 0, unsafe: 0 };
    counts.set(id, count);
    if (rating === 'Unsafe') count.unsafe++;
    else count.safe++;
  }
  found.categories = [...counts.values()];
  return found;
}

/** From 0 to 1; 0 where there is nothing. */
export function unsafeShare({ safe, unsafe }: Pick<CategoryCount, 'safe' | 'unsafe'>): number {
  return safe + unsafe === 0 ? 0 : unsafe / (safe + unsafe);
}
