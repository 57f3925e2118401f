/**
 * Compares what `LlavaGuard.probe` estimates for a model with what an assessment takes, in one run.
 *
 *   node probe-estimate.mjs FOLDER [BUILD...]
 *
 * FOLDER holds manifest.json and the model's files, as `llavaguard manifest` writes them. Prints a line
 * of JSON for each build: the estimate, the milliseconds from an image to its verdict at detail `low`
 * (the least of three), their ratio, and the most memory the tab's process held while it judged at
 * `low` and at `auto` beside the manifest's figure, in bytes. Linux only.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { launch, modelFiles, serve } from './browser.mjs';
import { photo } from './materials.mjs';

const [folder = '', ...named] = process.argv.slice(2);
const builds = named.length > 0 ? named : ['relaxed', 'simd'];

const server = await serve({
  root: fileURLToPath(new URL('../../www', import.meta.url)),
  answerFirst: modelFiles(folder),
});
const browser = await launch({ webgpu: builds.includes('webgpu') });

/** What the tabs' processes hold, in bytes, the browser's own program left out. */
function memory() {
  let most = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=renderer')) continue;
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      let sum = 0;
      for (const [, kilobytes] of status.matchAll(/^Rss(?:Anon|Shmem):\s+(\d+)/gm)) {
        sum += 1024 * Number(kilobytes);
      }
      most = Math.max(most, sum);
    } catch {
      // It has ended meanwhile.
    }
  }
  return most;
}

const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
for (const build of builds) {
  const page = await browser.newPage();
  page.setDefaultTimeout(900_000);
  /** @type {Record<string, number>} */
  const peaks = {};
  let stage = 'load';
  const watch = setInterval(() => {
    peaks[stage] = Math.max(peaks[stage] ?? 0, memory());
  }, 50);
  await page.exposeFunction('enter', (/** @type {string} */ next) => {
    stage = next;
  });
  await page.goto(`${server.url}sdk/test/blank.html`);
  const told = await page.evaluate(
    async ({ build, base64 }) => {
      const { enter } = /** @type {{ enter: (stage: string) => Promise<void> }} */ (
        /** @type {unknown} */ (globalThis)
      );
      const path = '/sdk/dist/index.js';
      const { LlavaGuard } = /** @type {typeof import('llavaguard')} */ (await import(path));
      const name = /** @type {import('llavaguard').BuildName} */ (build);
      const probe = await LlavaGuard.probe('/big/manifest.json', { build: name });
      const guard = await LlavaGuard.load({ model: '/big/manifest.json', build: name });
      const photo = new Blob([Uint8Array.from(atob(base64), (char) => char.charCodeAt(0))]);
      /** @type {number[]} */
      const times = [];
      for (const detail of /** @type {const} */ (['low', 'low', 'low', 'auto'])) {
        await enter(detail);
        const start = performance.now();
        await guard.assess(photo, {
          detail,
          rationale: false,
          onVerdict: () => void times.push(performance.now() - start),
        });
      }
      const ran = { build: guard.build, threads: guard.threads };
      guard.dispose();
      return { ...ran, estimate: 1e3 * probe.speed.secondsToVerdict, times };
    },
    { build, base64: photo('firearm-pistol.jpg').toString('base64') },
  );
  clearInterval(watch);
  await page.close();
  const [low, auto] = [Math.min(...told.times.slice(0, 3)), told.times[3] ?? 0];
  console.log(
    JSON.stringify({
      build: told.build,
      threads: told.threads,
      estimate_ms: Math.round(told.estimate),
      low_ms: Math.round(low),
      auto_ms: Math.round(auto),
      ratio: Number((told.estimate / low).toFixed(2)),
      peaks,
      manifest_memory: manifest.memory,
    }),
  );
}
await browser.close();
await server.close();
