import { useSignal } from '@preact/signals';
import { type Adapter, type BuildName, cpuBuilds, gpuAdapter } from 'llavaguard';
import { useEffect } from 'preact/hooks';

import { engine } from '../shared/engine.js';
import { setbackText } from '../shared/engine-text.js';
import { canIsolate, isolate } from '../shared/offline.js';
import { Words } from '../shared/words.js';
import { strings } from '../strings/index.js';

const CHOICES: (BuildName | undefined)[] = [
  undefined,
  'webgpu',
  'relaxed',
  'relaxed-single',
  'simd',
];

/** What the model can run on here, what was chosen and why; another choice loads it anew. */
export function DeviceCard() {
  const { device: text } = strings.value.models;
  const adapter = useSignal<Adapter | null | undefined>(undefined);
  useEffect(() => {
    void gpuAdapter().then((found) => {
      adapter.value = found ?? null;
    });
  }, []);
  const loading = engine.state.value === 'loading';
  const chosen = engine.build.value;
  const onCpu: BuildName[] = cpuBuilds();
  const possible = (build: BuildName | undefined) =>
    build === undefined || (build === 'webgpu' ? adapter.value != null : onCpu.includes(build));
  return (
    <section class="card" id="device-card" aria-labelledby="device-heading">
      <div class="card-head">
        <h2 id="device-heading">{text.heading}</h2>
      </div>
      <p id="device-why">{why(adapter.value)}</p>
      <Setbacks />
      <fieldset class="choices" disabled={loading || !engine.choice.value}>
        <legend class="visually-hidden">{text.choose}</legend>
        {CHOICES.map((build) => (
          <label key={build ?? 'auto'} class="choice">
            <input
              type="radio"
              name="build"
              value={build ?? 'auto'}
              checked={chosen === build}
              disabled={!possible(build)}
              onChange={() => void engine.switchTo(build)}
            />
            <span>
              <span class="choice-name">
                {build === undefined ? text.automatic : text.builds[build]}
                {engine.running.value?.build === build && <span class="mark">{text.now}</span>}
              </span>
              <span class="quiet">
                {build === undefined ? text.automaticMeans : meaning(build, adapter.value)}
              </span>
            </span>
          </label>
        ))}
      </fieldset>
      <NotIsolated />
    </section>
  );
}

/** Which builds were left for the one that runs, and what the engine says of it. */
function Setbacks() {
  const { errors } = strings.value;
  const fallbacks = engine.running.value ? engine.fallbacks.value : [];
  if (fallbacks.length === 0) return null;
  return (
    <ul class="setbacks" id="device-setbacks">
      {fallbacks.map((fallback, at) => (
        <li key={at} data-code={fallback.code}>
          {setbackText(fallback)}
          <p class="quiet exact-words">
            {errors.exactly}{' '}
            <span lang="en">
              <Words text={fallback.reason} />
            </span>
          </p>
        </li>
      ))}
    </ul>
  );
}

/** Why the build that runs was chosen. */
function why(adapter: Adapter | null | undefined): string {
  const { device: text } = strings.value.models;
  const running = engine.running.value;
  if (!running) return text.nothingRuns;
  if (engine.build.value === running.build) return text.whyAsked;
  switch (running.build) {
    case 'webgpu':
      return text.whyGpu(running.info.device);
    case 'relaxed':
      return text.whyRelaxed(running.threads, gpuText(adapter));
    case 'relaxed-single':
    case 'simd':
      return text.whySimd(crossOriginIsolated, gpuText(adapter));
  }
}

function gpuText(adapter: Adapter | null | undefined): string {
  const { device: text } = strings.value.models;
  if (adapter === undefined) return '';
  if (adapter === null) return text.noGpu;
  return adapter.software ? text.softwareGpu(adapter.name) : text.gpu(adapter.name);
}

function meaning(build: BuildName, adapter: Adapter | null | undefined): string {
  const { device: text } = strings.value.models;
  if (build === 'webgpu') return gpuText(adapter);
  if (build !== 'simd' && !cpuBuilds().includes('relaxed-single')) return text.noRelaxedSimd;
  if (build === 'relaxed') return crossOriginIsolated ? text.relaxedMeans : text.relaxedNeeds;
  return build === 'relaxed-single' ? text.relaxedSingleMeans : text.simdMeans;
}

function NotIsolated() {
  const { device: text } = strings.value.models;
  if (crossOriginIsolated) return null;
  return (
    <div class="not-isolated" id="not-isolated">
      <p>{text.notIsolated}</p>
      {canIsolate.value && (
        <button class="button small" id="isolate" type="button" onClick={isolate}>
          {text.isolate}
        </button>
      )}
    </div>
  );
}
