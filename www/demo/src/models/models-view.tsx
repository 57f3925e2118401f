import { ErrorMessage } from '../shared/error-message.js';
import { engine } from '../shared/engine.js';
import { strings } from '../strings/index.js';

/** The model in use, other ones, and what it runs on. */
export function ModelsView() {
  const { models: text } = strings.value;
  return (
    <section class="card" id="model-card" aria-labelledby="model-heading">
      <h2 id="model-heading">{text.heading}</h2>
      <ErrorMessage id="model-error" error={engine.error.value} />
    </section>
  );
}
