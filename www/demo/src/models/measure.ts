import { type Assessment, LlavaGuard } from 'llavaguard';

import { sampleFile, SAMPLES } from '../judge/sources/samples.js';
import { engine } from '../shared/engine.js';

/** Judgements that are timed, after one that is not: the first use of anything is slower. */
const RUNS = 3;

/** What was measured. */
export interface Measurement {
  build: string;
  /** Multiplications and additions a second; none for a model without a manifest. */
  operationsPerSecond: number | undefined;
  /** Milliseconds; each the middle one of the runs. */
  verdict: number;
  total: number;
  vision: number;
  /** Tokens a second. */
  prefill: number;
  decode: number;
}

/** Times the judgement of a sample photo at detail `low`, and the products of the model's kind. */
export async function measure(
  signal: AbortSignal,
  onRun: (done: number, of: number) => void,
): Promise<Measurement> {
  const [sample] = SAMPLES;
  if (!sample) throw new Error('the page has no sample photo');
  const photo = await sampleFile(sample);
  const runs: Assessment[] = [];
  for (let run = 0; run <= RUNS; run++) {
    onRun(run, RUNS + 1);
    const assessment = await engine.use((guard) =>
      guard.assess(photo, { detail: 'low', signal, onProgress: engine.hear }),
    );
    if (run > 0) runs.push(assessment);
  }
  const middle = (of: (assessment: Assessment) => number) =>
    runs.map(of).sort((a, b) => a - b)[runs.length >> 1] ?? NaN;
  return {
    build: engine.running.value?.build ?? '',
    operationsPerSecond: await products(signal),
    verdict: middle(({ timings_ms: t }) => t.total - t.rationale),
    total: middle(({ timings_ms: t }) => t.total),
    vision: middle(({ timings_ms: t }) => t.vision),
    prefill: middle(
      ({ tokens, timings_ms: t }) => (tokens.visual + tokens.prompt) / (t.prefill / 1e3),
    ),
    decode: middle(
      ({ tokens, timings_ms: t }) => tokens.generated / ((t.verdict + t.rationale) / 1e3),
    ),
  };
}

/** The rate of products, which needs a manifest to tell the model's kind. */
async function products(signal: AbortSignal): Promise<number | undefined> {
  const model = engine.choice.value?.model;
  const build = engine.running.value?.build;
  if (!(model instanceof URL) || !model.pathname.endsWith('.json') || !build) return undefined;
  const probe = await LlavaGuard.probe(model, { build, signal });
  return probe.speed.operationsPerSecond;
}
