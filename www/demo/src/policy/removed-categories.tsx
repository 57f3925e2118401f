import { strings } from '../strings/index.js';
import { restored } from './edits.js';
import { policy } from './policy-store.js';

/** The base's categories that were left out, to take them back. */
export function RemovedCategories() {
  const { policy: text } = strings.value;
  const { document, thresholds } = policy.current.value;
  const present = new Set(policy.description.value?.categories.map(({ id }) => id));
  const removed = policy.base.value?.categories.filter(({ id }) => !present.has(id)) ?? [];
  if (removed.length === 0) return null;
  return (
    <div class="removed">
      <h3>{text.removed}</h3>
      <ul>
        {removed.map(({ id, title }) => (
          <li key={id}>
            <span lang="en">
              {id}: {title}
            </span>
            <button
              class="button small"
              type="button"
              aria-label={text.takeBackOf(id)}
              onClick={() => {
                void policy.apply({ document: restored(document, id), thresholds });
              }}
            >
              {text.takeBack}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
