import { AddModel } from './add-model.js';
import { Benchmark } from './benchmark.js';
import { DeviceCard } from './device-card.js';
import { InUse } from './in-use.js';
import { StoredModels } from './stored-models.js';

/** The model in use, other ones, what it runs on and how fast. */
export function ModelsView() {
  return (
    <div class="models">
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
