import { audit } from './audit-store.js';
import type { Row } from './row.js';

/** Where a key moves to among `count` rows, of which a page shows `page`; nothing for other keys. */
export function moveTo(key: string, from: number, count: number, page: number): number | undefined {
  const steps: Partial<Record<string, number>> = {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: page,
    PageUp: -page,
    Home: -count,
    End: count,
  };
  const step = steps[key];
  if (step === undefined || count === 0) return undefined;
  return Math.min(Math.max(from + step, 0), count - 1);
}

/** Does what a key means for a row; gives whether it means anything. */
export function reviewKey(key: string, row: Row, onNote: () => void): boolean {
  switch (key.toLowerCase()) {
    case 'c':
      andOn(row, (one) => audit.confirm(one));
      return true;
    case 'o':
      andOn(row, (one) => audit.overrule(one));
      return true;
    case 'u':
      audit.takeBack(row);
      return true;
    case 'r':
      audit.again([row]);
      return true;
    case 'n':
      onNote();
      return true;
    case 'b':
      audit.revealed.value = audit.revealed.value === row ? undefined : row;
      return true;
    default:
      return false;
  }
}

/** Reviews a row and goes on to the next; its place is known before, since reviewing may hide it. */
function andOn(row: Row, review: (row: Row) => boolean): void {
  const rows = audit.shown.value;
  const next = rows[rows.indexOf(row) + 1];
  if (review(row) && next) audit.select(next);
}
