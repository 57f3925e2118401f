import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { LlavaGuard } from '../dist/index.js';
import { FakeWorker } from './fake-worker.mjs';

const INFO = { model_id: 'm@0', name: 'm', device: 'cpu', tile: 1, tokens_per_tile: 1, context: 9 };

const SOURCE = { verified: true, storage: 'files', bytes: 5, reused: 0, fetched: 5, repaired: 0 };
const LOADED = { info: INFO, source: SOURCE };

/** @type {FakeWorker[]} */
let workers = [];

beforeEach(() => {
  workers = [];
  Object.assign(globalThis, { location: { href: 'https://example.test/page/' } });
});

/** @param {(worker: FakeWorker) => void} [prepare] */
function createWorker(prepare) {
  const worker = new FakeWorker();
  workers.push(worker);
  prepare?.(worker);
  return /** @type {Worker} */ (/** @type {unknown} */ (worker));
}

/**
 * Answers every request of a worker as it comes.
 * @param {FakeWorker} worker
 * @param {(request: any) => unknown} reply a value, or an error to fail with
 */
function autoAnswer(worker, reply) {
  const post = worker.postMessage.bind(worker);
  worker.postMessage = (message) => {
    post(message);
    const { type, id, request } = /** @type {any} */ (message);
    if (type !== 'request') return;
    const value = reply(request);
    queueMicrotask(() => {
      if (value instanceof Error) {
        worker.say({ type: 'failed', id, error: { code: 'x.y', message: value.message } });
      } else worker.say({ type: 'done', id, value });
    });
  };
}

/** @param {(request: any) => unknown} reply */
function loaded(reply = () => undefined) {
  return LlavaGuard.load({
    model: '../model.gguf',
    build: 'simd',
    createWorker: () =>
      createWorker((worker) => {
        autoAnswer(worker, (request) => (request.type === 'load' ? LOADED : reply(request)));
      }),
  });
}

test('a model is loaded from an address relative to the page', async () => {
  const guard = await loaded();
  assert.equal(guard.info.name, 'm');
  assert.deepEqual(guard.source, SOURCE);
  assert.equal(guard.build, 'simd');
  const requests = workers[0]?.sent.map(({ request }) => request);
  assert.deepEqual(requests, [
    { type: 'start', build: 'simd', threads: 1 },
    { type: 'load', model: { url: 'https://example.test/model.gguf' }, keep: true },
  ]);
});

test('files with addresses of their own are named with their manifest', async () => {
  await LlavaGuard.load({
    model: { manifest: 'a/m.json', files: [new URL('https://cdn.test/1'), '/2'] },
    trustedKeys: ['ab'],
    keep: false,
    build: 'simd',
    createWorker: () => createWorker((worker) => autoAnswer(worker, () => LOADED)),
  });
  assert.deepEqual(workers[0]?.sent[1].request, {
    type: 'load',
    model: {
      url: 'https://example.test/page/a/m.json',
      files: ['https://cdn.test/1', 'https://example.test/2'],
    },
    trustedKeys: ['ab'],
    keep: false,
  });
});

test('threads are taken as asked for, or refused', async () => {
  for (const threads of [1, 3, 64]) {
    await LlavaGuard.load({
      model: 'm.gguf',
      build: 'relaxed',
      threads,
      createWorker: () => createWorker((worker) => autoAnswer(worker, () => LOADED)),
    });
    assert.equal(workers.at(-1)?.sent[0].request.threads, threads);
  }
  const before = workers.length;
  for (const threads of [0, -1, 1.5, NaN, 65, /** @type {any} */ ('2')]) {
    await assert.rejects(LlavaGuard.load({ model: 'm.gguf', threads }), {
      code: 'engine.bad_option',
      message: /threads is .* from 1 to 64/,
    });
  }
  assert.equal(workers.length, before);
});

test('a build that does not start is reported and its worker ended', async () => {
  /** @type {unknown[]} */
  const progress = [];
  const load = LlavaGuard.load({
    model: 'https://example.test/m',
    build: 'relaxed',
    threads: 2,
    onProgress: (step) => progress.push(step),
    createWorker: () =>
      createWorker((worker) => {
        autoAnswer(worker, () => new Error('no shared memory'));
      }),
  });
  await assert.rejects(load, { code: 'build.failed', message: /relaxed: no shared memory/ });
  const code = 'x.y';
  const reason = 'no shared memory';
  assert.deepEqual(progress, [{ stage: 'fallback', build: 'relaxed', code, reason }]);
  assert.ok(workers[0]?.terminated);
});

test('a build that takes over in the middle of a call is told, and seen afterwards', async () => {
  const guard = await loaded();
  /** @type {unknown[]} */
  const progress = [];
  const call = guard.assess(new Blob(['x']), { onProgress: (step) => progress.push(step) });
  const id = workers[0]?.sent.at(-1).id;
  const lost = {
    stage: 'fallback',
    build: 'webgpu',
    code: 'device.lost',
    reason: 'the GPU was lost',
  };
  const info = { ...INFO, device: 'cpu (relaxed)' };
  workers[0]?.say({ type: 'notice', id, notice: { type: 'progress', ...lost } });
  workers[0]?.say({
    type: 'notice',
    id,
    notice: { type: 'build', build: 'relaxed', threads: 4, info },
  });
  await call;
  assert.deepEqual(progress, [lost]);
  assert.deepEqual(
    [guard.build, guard.threads, guard.info.device],
    ['relaxed', 4, 'cpu (relaxed)'],
  );
});

test('webgpu needs an adapter', async () => {
  const load = LlavaGuard.load({
    model: 'm.gguf',
    build: 'webgpu',
    threads: 2,
    createWorker: () => createWorker(),
  });
  await assert.rejects(load, { code: 'build.failed', message: /webgpu: .*no WebGPU adapter/ });
  assert.ok(workers[0]?.terminated);
});

test('a bad model rejects with its own error and ends the worker', async () => {
  const load = LlavaGuard.load({
    model: new Blob(['not a model']),
    build: 'simd',
    createWorker: () =>
      createWorker((worker) => {
        autoAnswer(worker, ({ type }) => (type === 'load' ? new Error('not a GGUF') : undefined));
      }),
  });
  await assert.rejects(load, { code: 'x.y', message: 'not a GGUF' });
  assert.ok(workers[0]?.terminated);
});

test('options of an assessment are sent as the engine reads them', async () => {
  /** @type {any[]} */
  const asked = [];
  const guard = await loaded((request) => {
    if (request.type !== 'start') asked.push(request);
  });
  const image = new Uint8Array([1, 2, 3]);
  await guard.assess(image);
  await guard.assess(image, {
    policy: { categories: { O6: 'non_violating' } },
    detail: 'low',
    rationale: { maxTokens: 5, sampling: { temperature: 0.2, topP: 0.95 } },
  });
  await guard.assess(image, { rationale: false, policy: '{}' });
  assert.deepEqual(
    asked.map(({ options }) => options),
    [
      { rationale: {}, detail: 'auto' },
      {
        policy: '{"categories":{"O6":"non_violating"}}',
        detail: 'low',
        rationale: { maxTokens: 5, sampling: { temperature: 0.2, topP: 0.95, seed: 0 } },
      },
      { policy: '{}', detail: 'auto' },
    ],
  );
  assert.deepEqual(asked[0].image, { kind: 'bytes', bytes: image });
});

test('verdict, pieces of the rationale and progress go to their own listeners', async () => {
  const guard = await loaded((request) => {
    if (request.type !== 'assess') return undefined;
    const worker = /** @type {FakeWorker} */ (workers[0]);
    const { id } = worker.sent.at(-1);
    const category = { id: 'O6', name: 'O6: x' };
    const verdict = { rating: 'Unsafe', category, unsafe_probability: 0.75 };
    for (const notice of [
      { type: 'progress', stage: 'vision', done: 1, total: 2 },
      { type: 'verdict', ...verdict },
      { type: 'rationale', text: 'a' },
      { type: 'rationale', text: 'b' },
    ]) {
      worker.say({ type: 'notice', id, notice });
    }
    return {};
  });
  /** @type {unknown[]} */
  const heard = [];
  await guard.assess(new ArrayBuffer(2), {
    onProgress: (step) => heard.push(step),
    onVerdict: (verdict) => heard.push(verdict),
    onToken: (text) => heard.push(text),
  });
  assert.deepEqual(heard, [
    { stage: 'vision', done: 1, total: 2 },
    { rating: 'Unsafe', category: { id: 'O6', name: 'O6: x' }, unsafe_probability: 0.75 },
    'a',
    'b',
  ]);
});

test('what is no image is refused with a typed error', async () => {
  const guard = await loaded();
  for (const input of [undefined, null, 5, {}, [1], new Float32Array(4)]) {
    await assert.rejects(guard.assess(/** @type {any} */ (input)), {
      code: 'image.unsupported_input',
    });
  }
  await assert.rejects(guard.assess('http://['), { code: 'image.bad_address' });
});

test('addresses of images are relative to the page', async () => {
  /** @type {any[]} */
  const asked = [];
  const guard = await loaded((request) => {
    if (request.type === 'assess') asked.push(request.image);
  });
  await guard.assess('photo.jpg');
  await guard.assess(new URL('https://cdn.test/a.png'));
  assert.deepEqual(asked, [
    { kind: 'url', url: 'https://example.test/page/photo.jpg' },
    { kind: 'url', url: 'https://cdn.test/a.png' },
  ]);
});

test('what is many comes behind what is one', async () => {
  const guard = await loaded(() => ({}));
  const worker = /** @type {FakeWorker} */ (workers[0]);
  for await (const { status } of guard.assessMany([new Blob()])) assert.equal(status, 'judged');
  assert.equal(worker.sent.at(-1).priority, 'background');
  await guard.assess(new Blob());
  assert.equal(worker.sent.at(-1).priority, undefined);
  const urgent = guard.assessMany([new Blob()], { priority: 'user-blocking' });
  for await (const { status } of urgent) assert.equal(status, 'judged');
  assert.equal(worker.sent.at(-1).priority, 'user-blocking');
});

test('the WebAssembly may lie elsewhere', async () => {
  const wasm = async (/** @type {import('llavaguard').LoadOptions['wasmUrl']} */ wasmUrl) => {
    await LlavaGuard.load({
      model: 'm.gguf',
      build: 'simd',
      ...(wasmUrl === undefined ? {} : { wasmUrl }),
      createWorker: () => createWorker((worker) => autoAnswer(worker, () => LOADED)),
    });
    return workers.at(-1)?.sent[0].request.wasm;
  };
  assert.equal(await wasm(undefined), undefined);
  assert.equal((await wasm('wasm')).simd, 'https://example.test/page/wasm/simd/llavaguard_bg.wasm');
  const cdn = await wasm(new URL('https://cdn.test/v1/'));
  assert.equal(cdn.relaxed, 'https://cdn.test/v1/relaxed/llavaguard_bg.wasm');
  assert.equal(
    (await wasm((build) => `/x/${build}.wasm`)).webgpu,
    'https://example.test/x/webgpu.wasm',
  );
});

test('a disposed guard rejects open and later calls', async () => {
  const guard = await loaded();
  const worker = /** @type {FakeWorker} */ (workers[0]);
  worker.postMessage = () => undefined;
  const open = guard.assess(new Uint8Array(1));
  guard.dispose();
  await assert.rejects(open, { code: 'guard.disposed' });
  await assert.rejects(guard.promptText(), { code: 'guard.disposed' });
  assert.ok(worker.terminated);
});
