/**
 * Compares what `LlavaGuard.probe` estimates for a model with what an assessment takes, in turns in one
 * run, so that whatever else the machine does bears on both.
 *
 *   node probe-estimate.mjs FOLDER [ROUNDS [BUILD...]]
 *
 * FOLDER holds manifest.json and the model's files, as `llavaguard manifest` writes them. Prints a line
 * of JSON for each build and round (3 unless said otherwise): the operations a second that were
 * measured, the estimate, the milliseconds from an image to its verdict at detail `low`, and the
 * estimate over these; then the median of the rounds.
 */

import { fileURLToPath } from 'node:url';

import { launch, modelFiles, serve } from './browser.mjs';
import { photo } from './materials.mjs';

const [folder = '', rounds = '3', ...named] = process.argv.slice(2);
const builds = named.length > 0 ? named : ['relaxed', 'simd'];

const server = await serve({
  root: fileURLToPath(new URL('../../www', import.meta.url)),
  answerFirst: modelFiles(folder),
});
const browser = await launch({ webgpu: builds.includes('webgpu') });

for (const build of builds) {
  const page = await browser.newPage();
  page.setDefaultTimeout(900_000);
  /** @type {number[]} */
  const ratios = [];
  await page.exposeFunction('tell', (/** @type {Record<string, number>} */ told) => {
    const { estimate = 0, taken = 0 } = told;
    ratios.push(estimate / taken);
    const line = Object.entries(told).map(([name, value]) => [name, Number(value.toPrecision(3))]);
    console.log(
      JSON.stringify({ build, ...Object.fromEntries(line), ratio: ratio(ratios.at(-1)) }),
    );
  });
  await page.goto(`${server.url}sdk/test/blank.html`);
  await page.evaluate(
    async ({ build, rounds, base64 }) => {
      const { tell } = /** @type {{ tell: (told: Record<string, number>) => Promise<void> }} */ (
        /** @type {unknown} */ (globalThis)
      );
      const path = '/sdk/dist/index.js';
      const { LlavaGuard } = /** @type {typeof import('llavaguard')} */ (await import(path));
      const name = /** @type {import('llavaguard').BuildName} */ (build);
      const model = '/big/manifest.json';
      const photo = new Blob([Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))]);
      const guard = await LlavaGuard.load({ model, build: name });
      for (let round = 0; round < rounds; round++) {
        const { speed } = await LlavaGuard.probe(model, { build: name });
        const start = performance.now();
        let taken = 0;
        const { timings_ms: timings } = await guard.assess(photo, {
          detail: 'low',
          rationale: false,
          onVerdict: () => void (taken = performance.now() - start),
        });
        const { vision, prefill, verdict } = timings;
        const gops = speed.operationsPerSecond / 1e9;
        await tell({
          gops,
          estimate: 1e3 * speed.secondsToVerdict,
          taken,
          vision,
          prefill,
          verdict,
        });
      }
      guard.dispose();
    },
    { build, rounds: Number(rounds), base64: photo('firearm-pistol.jpg').toString('base64') },
  );
  await page.close();
  ratios.sort((a, b) => a - b);
  console.log(JSON.stringify({ build, median: ratio(ratios[ratios.length >> 1]) }));
}
await browser.close();
await server.close();

function ratio(value = 0) {
  return Number(value.toFixed(2));
}
