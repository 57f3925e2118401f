import { ErrorMessage } from '../shared/error-message.js';
import { strings } from '../strings/index.js';
import { policy } from './policy-store.js';

/** The policy in force, and how it is changed. */
export function PolicyPanel() {
  const { policy: text } = strings.value;
  const description = policy.description.value;
  return (
    <section class="card" id="policy-card" aria-labelledby="policy-heading">
      <div class="card-head">
        <h2 id="policy-heading">{text.heading}</h2>
      </div>
      <ErrorMessage id="policy-error" error={policy.error.value} />
      <ul class="categories">
        {description?.categories.map(({ id, title, mode }) => (
          <li key={id}>
            {id}: {title} ({text.modes[mode]})
          </li>
        ))}
      </ul>
    </section>
  );
}
