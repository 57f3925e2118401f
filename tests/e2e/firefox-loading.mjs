/**
 * The loader in Firefox: a browser killed in mid-download, the rest fetched by the next one, loading
 * from the store, at once in two workers, damage mended, an abort, a file, and removal.
 *
 *   node firefox-loading.mjs [FIREFOX]
 *
 * Prints a line for each thing that was seen and fails at the first that is not as it should be. The
 * browser is started bare, over a profile of its own, and its page tells what it finds by requests, so
 * nothing is needed but Firefox itself.
 */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { serveFaulty } from './faulty-server.mjs';
import { demoModel, photo } from './materials.mjs';

const [firefox = 'firefox-esr'] = process.argv.slice(2);
const SIZE = demoModel().length;
const CHUNK = 1 << 20;
const CONNECTIONS = 4;
/** Longest a step may take, in milliseconds. */
const PATIENCE = 240_000;

/** No first-run pages, no updates, nothing restored, nothing asked of the network. */
const PREFERENCES = `
user_pref('app.update.enabled', false);
user_pref('browser.aboutwelcome.enabled', false);
user_pref('browser.sessionstore.resume_from_crash', false);
user_pref('browser.shell.checkDefaultBrowser', false);
user_pref('browser.startup.page', 0);
user_pref('datareporting.policy.dataSubmissionEnabled', false);
user_pref('network.captive-portal-service.enabled', false);
user_pref('network.connectivity-service.enabled', false);
user_pref('services.settings.server', 'data:,');
user_pref('toolkit.startup.max_resumed_crashes', -1);
user_pref('toolkit.telemetry.reportingpolicy.firstRun', false);
`;

/** What the page does, by the name behind `#`. */
const PAGE = `<!doctype html><meta charset="utf-8" /><script type="module">
  import * as sdk from '/sdk/dist/index.js';
  const model = '/faulty/manifest.json';
  const load = async (options = {}) => {
    const reasons = [];
    const onProgress = ({ reason }) => reason && reasons.push(reason);
    const guard = await sdk.LlavaGuard.load({ model, onProgress, ...options });
    const { source, build, threads } = guard;
    guard.dispose();
    return { ...source, build, threads, reasons };
  };
  const weights = async () => {
    const root = await navigator.storage.getDirectory();
    const models = await root.getDirectoryHandle('llavaguard-models');
    const [{ id }] = await sdk.storedModels();
    return (await models.getDirectoryHandle(id)).getFileHandle('weights');
  };
  const steps = {
    load,
    async judge() {
      const guard = await sdk.LlavaGuard.load({ model });
      const photo = await (await fetch('/photo')).blob();
      const { rating, category } = await guard.assess(photo, { detail: 'low', rationale: false });
      guard.dispose();
      return { rating, category: category.id };
    },
    twice: () => Promise.all([load(), load()]),
    memory: () => load({ keep: false }),
    async damage() {
      const handle = await weights();
      const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
      bytes[3 << 20] ^= 1;
      bytes[bytes.length - 1] ^= 128;
      const writable = await handle.createWritable();
      await writable.write(bytes);
      await writable.close();
      return load();
    },
    async file() {
      const file = await (await weights()).getFile();
      return load({ model: file });
    },
    async remember() {
      await sdk.rememberModelFile(await weights());
      const handle = await sdk.rememberedModelFile();
      const found = await load({ model: await sdk.openModelFile(handle) });
      await sdk.forgetModelFile();
      return found;
    },
    async probe() {
      const { canRun, builds, storage, memory, speed } = await sdk.LlavaGuard.probe(model);
      return { canRun, builds, storage, memory, speed };
    },
    async abort() {
      const abort = new AbortController();
      const onProgress = ({ stage, done }) => stage === 'download' && done > 5e6 && abort.abort();
      return load({ signal: abort.signal, onProgress }).then(
        () => 'loaded',
        (error) => error.name,
      );
    },
    stored: async () =>
      (await sdk.storedModels()).map(({ bytes, storedBytes, complete }) => ({ bytes, storedBytes, complete })),
    async remove() {
      for (const { id } of await sdk.storedModels()) await sdk.deleteStoredModel(id);
      return steps.stored();
    },
    lacks: () => ({
      showOpenFilePicker: 'showOpenFilePicker' in globalThis,
      deviceMemory: 'deviceMemory' in navigator,
      locks: 'locks' in navigator,
      crossOriginIsolated,
    }),
  };
  for (let answer; ;) {
    const name = await (await fetch('/step', { method: 'POST', body: JSON.stringify(answer ?? null) })).text();
    answer = await Promise.resolve().then(steps[name]).then(
      (value) => ({ value }),
      ({ name, code, message }) => ({ failed: { name, code, message } }),
    );
  }
</script>`;

/** The page waits for the next step here, and hands in what came of the last. */
/** @type {{ response: import('node:http').ServerResponse, headers: Record<string, string> } | undefined} */
let waiting;
/** @type {((answer: any) => void) | undefined} */
let answered;
/** @type {(() => void) | undefined} */
let asked;

const server = await serveFaulty((request, response, headers) => {
  if (request.url === '/firefox.html') {
    const { 'Content-Security-Policy': _, ...rest } = headers;
    response.writeHead(200, { ...rest, 'Content-Type': 'text/html' }).end(PAGE);
    return true;
  }
  if (request.url === '/photo') {
    response.writeHead(200, headers).end(photo('firearm-pistol.jpg'));
    return true;
  }
  if (request.url !== '/step') return false;
  let body = '';
  request.on('data', (piece) => (body += piece));
  request.on('end', () => {
    waiting = { response, headers };
    answered?.(JSON.parse(body));
    asked?.();
  });
  return true;
});

/** @param {string} name */
async function begin(name) {
  if (!waiting) await withPatience(new Promise((resolve) => (asked = () => resolve(undefined))));
  const { response, headers } = waiting ?? assert.fail('the page asks for nothing');
  waiting = undefined;
  response.writeHead(200, { ...headers, 'Content-Type': 'text/plain' }).end(name);
}

/**
 * Has the page do something and gives what came of it.
 * @param {string} name
 * @returns {Promise<any>}
 */
async function step(name) {
  await begin(name);
  const answer = await withPatience(new Promise((resolve) => (answered = resolve)));
  assert.ok('value' in answer, `${name}: ${JSON.stringify(answer)}`);
  return answer.value;
}

/**
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function withPatience(promise) {
  const late = sleep(PATIENCE, undefined, { ref: false }).then(() => {
    throw new Error('nothing was heard of the page for too long');
  });
  return Promise.race([promise, late]);
}

/** @type {import('node:child_process').ChildProcess | undefined} */
let browser;
const profile = mkdtempSync(join(tmpdir(), 'llavaguard-'));
writeFileSync(join(profile, 'user.js'), PREFERENCES);

function start() {
  waiting = undefined;
  const args = ['--headless', '--no-remote', '--profile', profile, `${server.url}firefox.html`];
  // Detached, so that it has a group which can be killed with all its processes.
  browser = spawn(firefox, args, { stdio: 'ignore', detached: true });
}

/** Ends it as a crash would. */
async function kill() {
  const ended = new Promise((resolve) => browser?.once('exit', resolve));
  if (browser?.pid) process.kill(-browser.pid, 'SIGKILL');
  await ended;
}

/**
 * @param {string} what
 * @param {unknown} [found]
 */
const say = (what, found) => console.log(`${what}: ${JSON.stringify(found)}`);

try {
  say('version', execFileSync(firefox, ['--version']).toString().trim());
  start();
  say('what there is', await step('lacks'));
  assert.equal((await step('probe')).canRun, true);

  // Three browsers killed in mid-download, the fourth brings it to its end.
  server.state.faults = { bytesPerSecond: 1 << 20 };
  // The first time a chunk a connection has come, then parts of chunks.
  const moments = [4.6e6, 2e6, 2e6];
  const kills = moments.length;
  for (const moment of moments) {
    const until = server.state.served + moment;
    await begin('load');
    while (server.state.served < until) await sleep(20);
    await kill();
    start();
  }
  server.state.faults = {};
  const resumed = await step('load');
  const lost = server.state.served - SIZE;
  say(`after ${kills} kills`, { ...resumed, lost });
  assert.deepEqual([resumed.verified, resumed.storage], [true, 'files']);
  assert.ok(resumed.reused > 0 && lost <= kills * CONNECTIONS * CHUNK);

  const served = server.state.served;
  assert.equal((await step('load')).reused, SIZE);
  assert.deepEqual(await step('judge'), { rating: 'Unsafe', category: 'O6' });
  server.state.faults = { unreachable: true };
  assert.equal((await step('load')).reused, SIZE);
  server.state.faults = {};
  assert.equal(server.state.served, served);
  say('from the store, also without a server', { served: 0 });

  const mended = await step('damage');
  assert.deepEqual([mended.repaired, mended.reused], [2, SIZE - CHUNK - (SIZE % CHUNK)]);
  say('two chunks damaged', mended);

  assert.deepEqual((await step('file')).storage, 'file');
  assert.deepEqual((await step('remember')).storage, 'file');
  assert.deepEqual((await step('memory')).storage, 'memory');
  assert.deepEqual(await step('remove'), []);
  say('a file, a remembered file, nothing kept, removed', true);

  server.state.faults = { bytesPerSecond: 3 << 20 };
  assert.equal(await step('abort'), 'AbortError');
  const [kept] = await step('stored');
  assert.ok(kept.storedBytes >= CHUNK && !kept.complete);
  say('aborted, what had come is kept', kept);
  await step('remove');

  server.state.served = 0;
  const both = await step('twice');
  assert.equal(both[0].fetched + both[1].fetched, SIZE);
  assert.equal(server.state.served, SIZE);
  say('two at once fetch once', { served: SIZE });
} finally {
  await kill();
  await server.close();
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
}
