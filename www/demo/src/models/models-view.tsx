import { useEffect, useRef } from 'preact/hooks';

import { engine } from '../shared/engine.js';
import { ErrorMessage } from '../shared/error-message.js';
import { AddModel } from './add-model.js';
import { Benchmark } from './benchmark.js';
import { DeviceCard } from './device-card.js';
import { InUse } from './in-use.js';
import { StoredModels } from './stored-models.js';

/** The model in use, other ones, what it runs on and how fast. */
export function ModelsView() {
  return (
    <div class="models">
      <LoadError />
      <div class="models-column">
        <InUse />
        <AddModel />
        <StoredModels />
      </div>
      <div class="models-column">
        <DeviceCard />
        <Benchmark />
      </div>
    </div>
  );
}

/** Why the last model was not loaded, or what ended the engine. */
function LoadError() {
  const error = engine.error.value;
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (error === undefined) return;
    // Who has seen it here needs no notice of it elsewhere.
    engine.dismiss();
    // What asked for the model may stand far below.
    place.current?.scrollIntoView({ block: 'nearest' });
  }, [error]);
  if (error === undefined) return null;
  return (
    <div class="models-error" ref={place}>
      <ErrorMessage id="model-error" error={error} />
    </div>
  );
}
