import { choose, language, LANGUAGES, strings } from '../strings/index.js';
import { loadDemoModel } from '../models/demo-model.js';
import { engine } from './engine.js';
import { engineText, loadingShare } from './engine-text.js';
import { addressOf, route, VIEWS } from './route.js';

/** Name, navigation, language, and what the engine is doing. */
export function PageHeader() {
  const { nav, tagline } = strings.value;
  return (
    <header class="page-header">
      <div class="page-title">
        <h1>LlavaGuard</h1>
        <p>{tagline}</p>
      </div>
      <nav aria-label={nav.label}>
        <ul class="views">
          {VIEWS.map((view) => (
            <li key={view}>
              <a
                href={addressOf(view)}
                aria-current={route.value.view === view ? 'page' : undefined}
              >
                {nav[view]}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <LanguageChooser />
      <EngineStatus />
    </header>
  );
}

/** Only where there is a choice. */
function LanguageChooser() {
  const tags = Object.entries(LANGUAGES);
  if (tags.length < 2) return null;
  return (
    <label class="language">
      <span class="visually-hidden">{strings.value.languageChooser}</span>
      <select
        value={language.value}
        onChange={(event) => {
          choose(event.currentTarget.value);
        }}
      >
        {tags.map(([tag, { language: name }]) => (
          <option key={tag} value={tag} lang={tag}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The model in use and what it runs on, or how far its load is. */
function EngineStatus() {
  const { engine: text } = strings.value;
  const loading = engine.loading.value;
  const state = engine.state.value;
  return (
    <div class="engine" data-state={state}>
      <p
        id="model-status"
        role="status"
        data-state={state}
        data-build={engine.running.value?.build}
      >
        {engineText()}
      </p>
      {loading && (
        <>
          <progress
            id="model-progress"
            max={1}
            value={loadingShare(loading)}
            aria-labelledby="model-status"
          />
          <button
            class="button small"
            id="stop-loading"
            type="button"
            onClick={() => {
              engine.stopLoading();
            }}
          >
            {text.stop}
          </button>
        </>
      )}
      {(state === 'lost' || state === 'failed') && (
        <button
          class="button small"
          id="model-reload"
          type="button"
          onClick={() => void (state === 'lost' ? engine.reload() : loadDemoModel())}
        >
          {state === 'lost' ? text.reload : text.again}
        </button>
      )}
    </div>
  );
}
