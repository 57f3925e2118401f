import { strings } from '../strings/index.js';
import { engine } from './engine.js';
import { failureOf, sentenceOf } from './error-text.js';
import { addressOf, route } from './route.js';
import { Words } from './words.js';

/**
 * That a model was not loaded, or that the engine has stopped, for whoever is in another view than that
 * of the models, which says it at length.
 */
export function ModelNotice() {
  const { engine: text } = strings.value;
  const error = engine.error.value;
  if (error === undefined || engine.dismissed.value || route.value.view === 'models') return null;
  const failure = failureOf(error);
  return (
    <div class="notice bad" id="model-error" role="alert" data-code={failure.code}>
      <p>
        <Words text={sentenceOf(failure)} />
      </p>
      <div class="buttons">
        <a class="button small" href={addressOf('models')}>
          {text.moreUnderModels}
        </a>
        <button
          class="button small"
          id="model-error-dismiss"
          type="button"
          onClick={() => {
            engine.dismiss();
            document.getElementById('content')?.focus();
          }}
        >
          {text.dismiss}
        </button>
      </div>
    </div>
  );
}
