/**
 * Measures the memory of a tab while it loads a model over its manifest: fetched, then from the store.
 *
 *   node loading-memory.mjs FOLDER [BUILD [DETAIL]]
 *
 * FOLDER holds manifest.json and the model's files, as `llavaguard manifest` writes them. Prints a line
 * of JSON for each load: the file's size, the most the tab's process held in each stage, and what is
 * left after `dispose()`, in bytes above what it held before; and the seconds each stage took. With a
 * DETAIL an image is judged behind each load, and the most it held over both is set beside what the
 * manifest says it takes. With the
 * build `webgpu` the GPU is software, whose buffers are in another process. Linux only.
 *
 * The browser is started bare: what drives it in the tests keeps copies of all responses in the tab. Its
 * profile is on disk, since without one the browser keeps stored files in memory.
 */

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { modelFiles, OPTIONS, serve, WEBGPU } from './browser.mjs';
import { photo } from './materials.mjs';

const [folder = '', build = 'relaxed', detail = ''] = process.argv.slice(2);

/** What the tab does; it tells how far it is by requests. */
const PAGE = `<!doctype html><meta charset="utf-8" /><script type="module">
  import { LlavaGuard } from '/sdk/dist/index.js';
  const tell = (what, more = {}) =>
    fetch('/tell?' + new URLSearchParams({ what, ...more }), { method: 'GET' });
  let stage = '';
  for (const load of ['fetched', 'from the store']) {
    await tell('begin', { load });
    const start = performance.now();
    const guard = await LlavaGuard.load({
      model: '/big/manifest.json',
      build: ${JSON.stringify(build)},
      onProgress: (progress) => {
        if (progress.stage === 'fallback') void tell('fallback', { reason: progress.reason });
        else if (progress.stage !== stage) void tell((stage = progress.stage));
      },
    }).catch((error) => void tell('failed', { message: error.message }));
    const seconds = ((performance.now() - start) / 1e3).toFixed(1);
    if (${JSON.stringify(detail)}) {
      const photo = await (await fetch('/photo')).blob();
      await tell('judge');
      await guard.assess(photo, { detail: ${JSON.stringify(detail)}, rationale: { maxTokens: 32 } });
    }
    guard.dispose();
    await tell('loaded', { bytes: guard.source.bytes, seconds });
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    await tell('end');
  }
  await tell('done');
</script>`;

const { memory: memoryNeeded } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
const needed = Number(memoryNeeded[build === 'webgpu' ? 'webgpu' : 'cpu']);

let load = '';
let stage = '';
let since = 0;
let before = 0;
let browserPid = 0;
/** @type {Record<string, number>} */
let peaks = {};
/** @type {Record<string, number>} */
let seconds = {};
/** @type {Record<string, unknown>} */
let result = {};
/** @type {(reason?: Error) => void} */
let finish = () => undefined;

/**
 * Begins a stage; an empty one ends the last.
 * @param {string} next
 */
function enter(next) {
  const now = performance.now();
  if (stage !== '') {
    seconds[stage] = Math.round((seconds[stage] ?? 0) * 10 + (now - since) / 100) / 10;
  }
  [stage, since] = [next, now];
}

/** @param {URLSearchParams} told */
function hear(told) {
  const what = told.get('what') ?? '';
  switch (what) {
    case 'begin':
      load = told.get('load') ?? '';
      before = memory();
      [peaks, seconds, stage] = [{}, {}, ''];
      enter('start');
      break;
    case 'loaded': {
      const bytes = Number(told.get('bytes'));
      const peak = Math.max(...Object.values(peaks));
      result = {
        file: bytes,
        above_file: peak - bytes,
        ...(detail ? { detail, peak, manifest: needed, over_manifest: peak / needed } : {}),
        peaks,
        seconds: Number(told.get('seconds')),
        stages: seconds,
      };
      enter('');
      break;
    }
    case 'end':
      console.log(
        JSON.stringify({ load, build, ...result, left_after_dispose: memory() - before }),
      );
      break;
    case 'done':
      finish();
      break;
    case 'fallback':
      console.error(`${build} is not used: ${told.get('reason') ?? ''}`);
      break;
    case 'failed':
      finish(new Error(told.get('message') ?? ''));
      break;
    default:
      enter(what);
  }
}

const server = await serve({
  root: fileURLToPath(new URL('../../www', import.meta.url)),
  answerFirst: (request, response, headers) => {
    const url = new URL(request.url ?? '', 'http://localhost');
    if (url.pathname === '/tell') {
      hear(url.searchParams);
      response.writeHead(204, headers).end();
      return true;
    }
    if (url.pathname === '/photo') {
      response.writeHead(200, headers).end(photo('firearm-pistol.jpg'));
      return true;
    }
    if (url.pathname === '/measure.html') {
      const { 'Content-Security-Policy': _, ...rest } = headers;
      response.writeHead(200, { ...rest, 'Content-Type': 'text/html' }).end(PAGE);
      return true;
    }
    return modelFiles(folder)(request, response, headers);
  },
});

/** What the tabs' processes hold, in bytes; the browser's own program is left out. */
function memory() {
  let sum = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const parts = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      if (!parts.includes('--type=renderer') || !isBelow(pid, browserPid)) continue;
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      for (const [, kilobytes] of status.matchAll(/^Rss(?:Anon|Shmem):\s+(\d+)/gm)) {
        sum += 1024 * Number(kilobytes);
      }
    } catch {
      // It has ended meanwhile.
    }
  }
  return sum;
}

/**
 * Whether a process descends from another.
 * @param {string} pid
 * @param {number} ancestor
 */
function isBelow(pid, ancestor) {
  for (let at = Number(pid); at > 1;) {
    if (at === ancestor) return true;
    at = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${at}/status`, 'utf8'))?.[1] ?? 0);
  }
  return false;
}

const profile = await mkdtemp(join(tmpdir(), 'llavaguard-'));
const browser = spawn(
  OPTIONS.executablePath,
  [
    ...OPTIONS.args,
    // The buffers of a GPU in software are in the GPU's process; the tab's is what is measured.
    ...(build === 'webgpu' ? WEBGPU : []),
    '--headless',
    '--no-zygote',
    `--user-data-dir=${profile}`,
    `${server.url}measure.html`,
  ],
  { stdio: 'ignore' },
);
browserPid = browser.pid ?? 0;
const watch = setInterval(() => {
  if (stage !== '') peaks[stage] = Math.max(peaks[stage] ?? 0, memory() - before);
}, 20);
try {
  await new Promise((resolve, reject) => {
    finish = (reason) => (reason ? reject(reason) : resolve(undefined));
    browser.once('exit', () => reject(new Error('the browser ended')));
  });
} finally {
  clearInterval(watch);
  browser.removeAllListeners('exit');
  browser.kill();
  await server.close();
  await sleep(1_000);
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}
