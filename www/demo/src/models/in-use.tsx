import type { ModelSource } from 'llavaguard';

import { engine } from '../shared/engine.js';
import { size, whole } from '../shared/format.js';
import { offlineFailure } from '../shared/offline.js';
import { strings } from '../strings/index.js';
import { DEMO_MODEL, loadDemoModel } from './demo-model.js';

/** The loaded model, and where its bytes came from. */
export function InUse() {
  const { models: text } = strings.value;
  const running = engine.running.value;
  const source = engine.source.value;
  const model = engine.choice.value?.model;
  const demo = model instanceof URL && model.href === DEMO_MODEL.href;
  return (
    <section class="card" id="model-card" aria-labelledby="model-heading">
      <div class="card-head">
        <h2 id="model-heading">{text.inUse}</h2>
        {!demo && engine.state.value !== 'loading' && (
          <button
            class="button small"
            id="use-demo"
            type="button"
            onClick={() => void loadDemoModel()}
          >
            {text.useDemo}
          </button>
        )}
      </div>
      {running && source ? (
        <>
          <p class="model-name">{running.info.name}</p>
          <p id="model-source">{sourceText(source)}</p>
          <dl class="facts">
            <div>
              <dt>{text.id}</dt>
              <dd>{running.info.model_id}</dd>
            </div>
            <div>
              <dt>{text.bytes}</dt>
              <dd>{size(source.bytes)}</dd>
            </div>
            {source.signedBy !== undefined && (
              <div>
                <dt>{text.signedBy}</dt>
                <dd>{source.signedBy}</dd>
              </div>
            )}
            <div>
              <dt>{text.reads}</dt>
              <dd>
                {text.readsValue(
                  running.info.tile,
                  whole(running.info.tokens_per_tile),
                  whole(running.info.context),
                )}
              </dd>
            </div>
          </dl>
          {demo && <p class="quiet">{text.demoKnows}</p>}
        </>
      ) : (
        <p class="quiet">{engine.state.value === 'loading' ? text.loading : text.none}</p>
      )}
      {offlineFailure.value !== undefined && (
        <p class="quiet">{text.notKept(offlineFailure.value)}</p>
      )}
    </section>
  );
}

function sourceText({ verified, storage, repaired }: ModelSource): string {
  const { models: text } = strings.value;
  const parts = [verified ? text.verified : text.notVerified, text.places[storage]];
  if (repaired > 0) parts.push(text.repaired(repaired));
  return parts.join(' ');
}
