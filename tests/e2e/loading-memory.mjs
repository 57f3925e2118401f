/**
 * Measures the memory of a tab while it loads a model over its manifest: fetched, then from the store.
 *
 *   node loading-memory.mjs FOLDER [BUILD]
 *
 * FOLDER holds manifest.json and the model's files, as `llavaguard manifest` writes them. Prints a line
 * of JSON for each load: the file's size and the most the tab's process held, in bytes, and what is left
 * after `dispose()`. Linux only.
 */

import { createReadStream, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { launchPersistent, serve } from './browser.mjs';
import { rangeOf } from '../../www/demo/scripts/serve.mjs';

const [folder = '', build = 'relaxed'] = process.argv.slice(2);

const server = await serve({
  root: fileURLToPath(new URL('../../www', import.meta.url)),
  answerFirst: (request, response, headers) => {
    const [, name] = /^\/big\/([^?]+)/.exec(request.url ?? '') ?? [];
    if (name === undefined) return false;
    const path = join(folder, basename(name));
    const { size } = statSync(path);
    const range = rangeOf(request.headers, '', size);
    const [start, end] = range ?? [0, size];
    response.writeHead(range ? 206 : 200, {
      ...headers,
      'Content-Length': end - start,
      ...(range ? { 'Content-Range': `bytes ${start}-${end - 1}/${size}` } : {}),
    });
    createReadStream(path, { start, end: end - 1 }).pipe(response);
    return true;
  },
});
// Over a profile on disk: without one, the browser keeps stored files in memory.
const profile = await mkdtemp(join(tmpdir(), 'llavaguard-'));
const { context } = await launchPersistent(profile);
const page = await context.newPage();
page.setDefaultTimeout(600_000);
await page.goto(`${server.url}sdk/test/blank.html`);
const session = await context.browser()?.newBrowserCDPSession();
const { processInfo = [] } = (await session?.send('SystemInfo.getProcessInfo')) ?? {};
const renderers = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);

/** What the tab's process holds, in bytes; the browser's own program is left out. */
function memory() {
  return renderers.reduce((sum, pid) => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const held = [...status.matchAll(/^Rss(?:Anon|Shmem):\s+(\d+)/gm)];
    return sum + held.reduce((sum, [, kilobytes]) => sum + 1024 * Number(kilobytes), 0);
  }, 0);
}

let stage = '';
await page.exposeFunction('reached', (/** @type {string} */ name) => {
  stage = name;
});
try {
  for (const load of ['fetched', 'from the store']) {
    const before = memory();
    let peak = 0;
    /** @type {Record<string, number>} */
    const peaks = {};
    const watch = setInterval(() => {
      const now = memory();
      peak = Math.max(peak, now);
      peaks[stage] = Math.max(peaks[stage] ?? 0, now - before);
    }, 5);
    const { source, seconds } = await page.evaluate(async (build) => {
      const url = '/sdk/dist/index.js';
      const { LlavaGuard } = /** @type {typeof import('llavaguard')} */ (await import(url));
      const start = performance.now();
      const guard = await LlavaGuard.load({
        model: '/big/manifest.json',
        build: /** @type {import('llavaguard').BuildName} */ (build),
        onProgress: ({ stage }) => {
          /** @type {{ reached: (stage: string) => void }} */ (
            /** @type {unknown} */ (globalThis)
          ).reached(stage);
        },
      });
      const seconds = (performance.now() - start) / 1e3;
      Object.assign(globalThis, { guard });
      return { source: guard.source, seconds };
    }, build);
    clearInterval(watch);
    await page.evaluate(() => {
      /** @type {{ guard: import('llavaguard').LlavaGuard }} */ (
        /** @type {unknown} */ (globalThis)
      ).guard.dispose();
    });
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    console.log(
      JSON.stringify({
        load,
        build,
        file: source.bytes,
        peaks,
        peak: peak - before,
        above_file: peak - before - source.bytes,
        left_after_dispose: memory() - before,
        seconds: Number(seconds.toFixed(1)),
      }),
    );
  }
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  await server.close();
}
