import { Check, Choice } from '../shared/fields.js';
import { whole } from '../shared/format.js';
import { strings } from '../strings/index.js';
import { audit } from './audit-store.js';
import { type Filter, SHOW_ALL, type SortKey } from './view.js';

const STATES: Filter['state'][] = ['all', 'Unsafe', 'Safe', 'failed', 'waiting'];
const REVIEWS: Filter['review'][] = ['all', 'open', 'confirmed', 'overruled'];
const KEYS: SortKey[] = ['added', 'path', 'rating', 'probability', 'doubt', 'category', 'review'];

function change(part: Partial<Filter>): void {
  audit.filter.value = { ...audit.filter.value, ...part };
}

/** Which rows are shown, and in which order. */
export function Filters() {
  const { audit: text } = strings.value;
  const filter = audit.filter.value;
  const sort = audit.sort.value;
  const { total, ...counts } = audit.tally.value;
  const filtered = JSON.stringify(filter) !== JSON.stringify(SHOW_ALL);
  return (
    <div class="audit-filters" role="group" aria-label={text.filters.label}>
      <div class="audit-states" role="radiogroup" aria-label={text.counts.label}>
        {STATES.map((state) => {
          const count = countOf(state, { total, ...counts });
          // Most audits have none of these, or none any more.
          const rare = state === 'failed' || state === 'waiting';
          if (rare && count === 0 && filter.state !== state) return null;
          return (
            <label class="audit-state" key={state} data-state={state}>
              <input
                class="visually-hidden"
                type="radio"
                name="audit-state"
                value={state}
                checked={filter.state === state}
                onChange={() => {
                  change({ state });
                }}
              />
              <span>{text.counts[state]}</span> <b>{whole(count)}</b>
            </label>
          );
        })}
      </div>
      <label class="audit-field">
        {text.filters.text}
        <input
          id="audit-text"
          type="search"
          value={filter.text}
          onInput={(event) => {
            change({ text: event.currentTarget.value });
          }}
        />
      </label>
      <label class="audit-field">
        {text.filters.category}
        <Choice
          id="audit-category"
          value={filter.category}
          options={[
            ['', text.filters.anyCategory],
            ...counts.categories.map(({ id, name, safe, unsafe }): [string, string] => [
              id,
              `${name} (${whole(safe + unsafe)})`,
            ]),
          ]}
          onChange={(category) => {
            change({ category });
          }}
        />
      </label>
      <label class="audit-field">
        {text.filters.review}
        <Choice
          id="audit-review"
          value={filter.review}
          options={REVIEWS.map((review) => [review, text.filters.reviews[review]])}
          onChange={(review) => {
            change({ review });
          }}
        />
      </label>
      <div class="audit-field">
        <label for="audit-sort">{text.filters.sort}</label>
        <span class="audit-sort">
          <Choice
            id="audit-sort"
            value={sort.key}
            options={KEYS.map((key) => [key, text.columns[key]])}
            onChange={(key) => {
              audit.sort.value = { ...sort, key };
            }}
          />
          <button
            class="button small"
            id="audit-direction"
            type="button"
            aria-label={sort.descending ? text.filters.descending : text.filters.ascending}
            title={sort.descending ? text.filters.descending : text.filters.ascending}
            onClick={() => {
              audit.sort.value = { ...sort, descending: !sort.descending };
            }}
          >
            {sort.descending ? '↓' : '↑'}
          </button>
        </span>
      </div>
      {(audit.stale.value.length > 0 || filter.stale) && (
        <Check
          id="audit-stale-only"
          checked={filter.stale}
          onChange={(stale) => {
            change({ stale });
          }}
        >
          {text.filters.stale}
        </Check>
      )}
      {filtered && (
        <button
          class="button small"
          id="audit-show-all"
          type="button"
          onClick={() => {
            audit.filter.value = SHOW_ALL;
          }}
        >
          {text.filters.reset}
        </button>
      )}
    </div>
  );
}

function countOf(
  state: Filter['state'],
  counts: { total: number; safe: number; unsafe: number; failed: number; waiting: number },
): number {
  switch (state) {
    case 'all':
      return counts.total;
    case 'Safe':
      return counts.safe;
    case 'Unsafe':
      return counts.unsafe;
    default:
      return counts[state];
  }
}
