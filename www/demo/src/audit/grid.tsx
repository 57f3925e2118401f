import type { Rating } from 'llavaguard';
import type { RefObject } from 'preact';
import { useEffect, useLayoutEffect, useState } from 'preact/hooks';

import { sentenceOf } from '../shared/error-text.js';
import { percent } from '../shared/format.js';
import { useObjectUrl } from '../shared/object-url.js';
import { withoutMarks } from '../shared/words.js';
import { strings } from '../strings/index.js';
import { audit } from './audit-store.js';
import { moveTo, reviewKey } from './keyboard.js';
import { categoryOf, finalRating, reviewState, type Row } from './row.js';
import { isStale } from './rows.js';
import { type SortKey } from './view.js';

/** Heights in pixels: rows are placed by them, so the style sheet has to keep to them. */
const HEAD = 36;
const WIDE_ROW = 60;
const NARROW_ROW = 110;
/** Below this width a row is three lines. */
const NARROW = 700;
/** Rows that are there beyond the edges, so that scrolling shows no gap. */
const BEYOND = 5;

const COLUMNS: SortKey[] = ['path', 'rating', 'probability', 'category', 'review'];

/**
 * The table. Of its rows only those in sight are in the page, however many there are; the focus is the
 * table's own, and a row is active within it.
 */
export function Grid({
  grid,
  onNote,
}: {
  grid: RefObject<HTMLDivElement | null>;
  onNote: () => void;
}) {
  const { audit: text } = strings.value;
  const rows = audit.shown.value;
  const { row: selected, version } = audit.selected.value;
  const [top, setTop] = useState(0);
  const [[width, height], setSize] = useState<[number, number]>([800, 480]);
  const narrow = width < NARROW;
  const [head, step] = narrow ? [0, NARROW_ROW] : [HEAD, WIDE_ROW];
  const active = selected ? rows.indexOf(selected) : -1;
  useLayoutEffect(() => {
    const scroller = grid.current;
    if (!scroller) return undefined;
    const observer = new ResizeObserver(() => {
      setSize([scroller.clientWidth, scroller.clientHeight]);
    });
    observer.observe(scroller);
    return () => {
      observer.disconnect();
    };
  }, []);
  useEffect(() => {
    const scroller = grid.current;
    if (!scroller || active < 0) return;
    const [start, end] = [active * step, (active + 1) * step];
    if (start < scroller.scrollTop) scroller.scrollTop = start;
    else if (end > scroller.scrollTop + scroller.clientHeight - head) {
      scroller.scrollTop = end - scroller.clientHeight + head;
    }
    // Only where another row became active: whoever scrolls away is not called back.
  }, [selected]);
  const first = Math.max(0, Math.floor(top / step) - BEYOND);
  const last = Math.min(rows.length, Math.ceil((top + height) / step) + BEYOND);
  const visible = rows.slice(first, last).map((row, at) => ({ row, at: first + at }));
  // The active row is named by the table, so it has to be there.
  if (selected && active >= 0 && (active < first || active >= last)) {
    visible.push({ row: selected, at: active });
  }
  return (
    <div
      class="audit-grid"
      id="audit-grid"
      ref={grid}
      role="grid"
      tabIndex={0}
      aria-label={text.gridLabel}
      aria-rowcount={rows.length + 1}
      aria-describedby="audit-keys"
      aria-activedescendant={active >= 0 && selected ? rowId(selected) : undefined}
      data-narrow={narrow}
      onScroll={(event) => {
        setTop(event.currentTarget.scrollTop);
      }}
      onKeyDown={(event) => {
        if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey)
          return;
        const page = Math.max(1, Math.floor((height - head) / step) - 1);
        const target = moveTo(event.key, active, rows.length, page);
        if (target !== undefined) audit.select(rows[target]);
        else if (!selected || !reviewKey(event.key, selected, onNote)) return;
        event.preventDefault();
      }}
      onFocus={(event) => {
        // Whoever comes by keyboard begins with the first row; a finger or a pointer is on its own.
        const { target, currentTarget: grid } = event;
        if (target === grid && active < 0 && grid.matches(':focus-visible')) audit.select(rows[0]);
      }}
    >
      <div role="rowgroup" class="audit-grid-head">
        <div role="row" aria-rowindex={1} class="audit-row">
          {COLUMNS.map((key) => (
            <Column key={key} column={key} />
          ))}
        </div>
      </div>
      <div role="rowgroup" class="audit-grid-body" style={{ height: `${rows.length * step}px` }}>
        {visible.map(({ row, at }) => (
          <GridRow
            key={row.id}
            row={row}
            version={version}
            at={at}
            top={at * step}
            active={row === selected}
          />
        ))}
      </div>
      {rows.length === 0 && <p class="quiet audit-nothing">{text.nothing}</p>}
    </div>
  );
}

function rowId({ id }: Row): string {
  return `audit-row-${id}`;
}

function Column({ column }: { column: SortKey }) {
  const { columns } = strings.value.audit;
  const { key, descending } = audit.sort.value;
  const sorted = key === column;
  return (
    <div
      role="columnheader"
      aria-sort={sorted ? (descending ? 'descending' : 'ascending') : 'none'}
    >
      <button
        type="button"
        onClick={() => {
          audit.sort.value = { key: column, descending: sorted && !descending };
        }}
      >
        {columns[column]}
        <span aria-hidden="true">{sorted ? (descending ? ' ↓' : ' ↑') : ''}</span>
      </button>
    </div>
  );
}

function GridRow({
  row,
  at,
  top,
  active,
}: {
  row: Row;
  /** Rows are changed in place; that one was can be told by this alone. */
  version: number;
  at: number;
  top: number;
  active: boolean;
}) {
  const { audit: text } = strings.value;
  const { thresholds, present } = audit.inForce.value;
  const rating = finalRating(row, thresholds);
  const { kept, error, review, note } = row;
  useEffect(() => {
    audit.wantThumbnail(row);
  }, [row]);
  const [name, folder] = split(row.path);
  return (
    <div
      class="audit-row"
      id={rowId(row)}
      role="row"
      aria-rowindex={at + 2}
      aria-selected={active}
      data-state={row.state}
      data-rating={rating}
      style={{ top: `${top}px` }}
      onClick={() => {
        audit.select(row);
      }}
    >
      <div role="gridcell" class="audit-picture">
        <Thumbnail blob={row.thumbnail} blurred={audit.blur.value && rating !== 'Safe'} />
        <span class="audit-name">
          <b>{name}</b>
          {folder !== '' && <small>{folder}</small>}
        </span>
      </div>
      <div role="gridcell">
        <RowState state={row.state} rating={rating} />
      </div>
      <div role="gridcell" class="audit-number">
        {kept ? percent(kept.unsafeProbability) : ''}
      </div>
      <div role="gridcell" class="audit-category">
        <span>{kept ? categoryOf(kept).name : error ? withoutMarks(sentenceOf(error)) : ''}</span>
        {isStale(row, present) && <small class="audit-mark">{text.row.stale}</small>}
      </div>
      <div role="gridcell" class="audit-reviewed">
        {review && (
          <span data-review={reviewState(row, thresholds)}>
            {text.filters.reviews[reviewState(row, thresholds)]}
          </span>
        )}
        {note !== '' && <small title={note}>{text.row.noted}</small>}
      </div>
    </div>
  );
}

/** A row's rating, or why it has none. */
function RowState({ state, rating }: { state: Row['state']; rating: Rating | undefined }) {
  const { audit: text, verdict } = strings.value;
  if (state === 'judging') return <span class="quiet">{text.row.judging}</span>;
  if (rating) return <span class="badge">{verdict.ratings[rating]}</span>;
  return state === 'failed' ? (
    <span class="audit-failed">{text.row.failed}</span>
  ) : (
    <span class="quiet">{text.row.waiting}</span>
  );
}

/** File name and folder. */
function split(path: string): [name: string, folder: string] {
  const at = path.lastIndexOf('/') + 1;
  return [path.slice(at), path.slice(0, Math.max(0, at - 1))];
}

function Thumbnail({ blob, blurred }: { blob: Blob | null | undefined; blurred: boolean }) {
  return (
    <span class="audit-thumbnail" data-blurred={blurred}>
      {blob && <Picture blob={blob} />}
    </span>
  );
}

/** Has an address only while it is in the page. */
function Picture({ blob }: { blob: Blob }) {
  const url = useObjectUrl(blob);
  return url === undefined ? null : <img src={url} alt="" />;
}
