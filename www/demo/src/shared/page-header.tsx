import { choose, language, LANGUAGES, strings } from '../strings/index.js';
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
  const loading = engine.loading.value;
  const share = loading && loadingShare(loading);
  return (
    <div class="engine" data-state={engine.state.value}>
      <p
        id="model-status"
        role="status"
        data-state={engine.state.value}
        data-build={engine.running.value?.build}
      >
        {engineText()}
      </p>
      {loading && (
        <progress id="model-progress" max={1} value={share} aria-labelledby="model-status" />
      )}
    </div>
  );
}
