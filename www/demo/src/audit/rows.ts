import type { Assessment, Rating } from 'llavaguard';

import type { Failure } from '../shared/error-text.js';
import { type Circumstances, CircumstancesTable, keep, type Row, type Source } from './row.js';

/** A picture found in a folder. */
export interface Found {
  readonly path: string;
  readonly source: Source;
}

/** What rows are judged under now: rows judged under anything else are stale. */
export type Present = Pick<Circumstances, 'policyId' | 'modelId' | 'detail'>;

/**
 * The rows of an audit, in the order they came. Whatever changes one goes through here, so that
 * `onChange` is told of all changes.
 */
export class Rows {
  readonly #onChange: () => void;
  readonly #circumstances = new CircumstancesTable();
  #rows: Row[] = [];
  #known = new Set<string>();
  #nextId = 0;
  /** Rows that are to be judged before all others, e.g. those that are tried again. */
  #first: Row[] = [];
  /** Rows before this index were handed out or are judged. */
  #cursor = 0;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** All rows. */
  get all(): readonly Row[] {
    return this.#rows;
  }

  /** Adds pictures; those that are there already are left out. Returns how many were new. */
  add(found: readonly Found[]): number {
    const before = this.#rows.length;
    for (const { path, source } of found) {
      const key = keyOf(path, source);
      if (this.#known.has(key)) continue;
      this.#known.add(key);
      this.#rows.push({
        id: this.#nextId++,
        path,
        source,
        state: 'waiting',
        kept: undefined,
        error: undefined,
        review: undefined,
        note: '',
        thumbnail: undefined,
      });
    }
    this.#onChange();
    return this.#rows.length - before;
  }

  /** Forgets everything. */
  clear(): void {
    // What is still under way for one of them must find it closed.
    for (const row of this.#rows) row.state = 'failed';
    this.#rows = [];
    this.#known = new Set();
    this.#first = [];
    this.#cursor = 0;
    this.#onChange();
  }

  /** How many rows wait or are being judged. */
  get left(): number {
    return this.#rows.reduce((count, { state }) => {
      return state === 'waiting' || state === 'judging' ? count + 1 : count;
    }, 0);
  }

  /** The next row to judge; it counts as being judged from now on. */
  take(): Row | undefined {
    let row = this.#first.shift();
    while (row && row.state !== 'waiting') row = this.#first.shift();
    if (!row) {
      while (this.#rows[this.#cursor] && this.#rows[this.#cursor]?.state !== 'waiting') {
        this.#cursor++;
      }
      row = this.#rows[this.#cursor];
    }
    if (!row) return undefined;
    row.state = 'judging';
    this.#onChange();
    return row;
  }

  /** Puts a row back that was given up before its assessment came. */
  putBack(row: Row): void {
    if (row.state === 'judging') this.again([row]);
  }

  /** Has rows judged (again) before all that wait. */
  again(rows: readonly Row[]): void {
    for (const row of rows) {
      row.state = 'waiting';
      row.error = undefined;
    }
    this.#first.unshift(...rows);
    this.#onChange();
  }

  judged(row: Row, assessment: Assessment): void {
    if (row.state !== 'judging') return;
    row.kept = keep(assessment, this.#circumstances);
    row.error = undefined;
    row.state = 'judged';
    this.#onChange();
  }

  /** A row that could not be judged keeps no rating, so that it never counts as Safe. */
  failed(row: Row, error: Failure): void {
    if (row.state !== 'judging') return;
    row.kept = undefined;
    row.error = error;
    row.state = 'failed';
    this.#onChange();
  }

  /** Sets what a person says of a row, or takes it back. */
  review(row: Row, rating: Rating | undefined): void {
    row.review = rating;
    this.#onChange();
  }

  note(row: Row, note: string): void {
    row.note = note;
    this.#onChange();
  }

  setThumbnail(row: Row, thumbnail: Blob | null): void {
    row.thumbnail = thumbnail;
    this.#onChange();
  }
}

/** Pictures that are pasted all have one name; it is their bytes' length and time that tell them apart. */
function keyOf(path: string, source: Source): string {
  return source instanceof File ? `${path}\0${source.size}\0${source.lastModified}` : path;
}

/** Whether a row's assessment was made under something else than what is in force. */
export function isStale({ kept }: Row, present: Present | undefined): boolean {
  if (!kept || !present) return false;
  const { policyId, modelId, detail } = kept.under;
  return policyId !== present.policyId || modelId !== present.modelId || detail !== present.detail;
}
