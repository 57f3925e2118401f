import assert from 'node:assert/strict';
import { test } from 'node:test';

import { eventsOf } from '../dist/events.js';
import { assessEach } from '../dist/many.js';

/** @typedef {import('llavaguard').Assessment} Assessment */

const tick = () => new Promise((resolve) => setImmediate(resolve));

/** Judgements that end when they are told. */
function judgements() {
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: unknown) => void, signal: AbortSignal }>} */
  const open = new Map();
  /** @type {number[]} */
  const begun = [];
  return {
    open,
    begun,
    assess: (
      /** @type {Blob} */ _,
      /** @type {number} */ index,
      /** @type {AbortSignal} */ signal,
    ) => {
      begun.push(index);
      return /** @type {Promise<Assessment>} */ (
        new Promise((resolve, reject) => {
          open.set(index, { resolve, reject, signal });
          signal.addEventListener('abort', () => reject(signal.reason));
        })
      );
    },
  };
}

const images = (/** @type {number} */ count) => Array.from({ length: count }, () => new Blob());

test('results come as they are ready, and a failure stops nothing', async () => {
  const { open, assess } = judgements();
  const given = images(3);
  const results = assessEach(given, assess, 3, undefined);
  const first = results.next();
  await tick();
  open.get(1)?.resolve('b');
  assert.deepEqual((await first).value, {
    status: 'judged',
    index: 1,
    image: given[1],
    assessment: 'b',
  });
  const error = new Error('no image');
  open.get(0)?.reject(error);
  assert.deepEqual((await results.next()).value, {
    status: 'failed',
    index: 0,
    image: given[0],
    error,
  });
  open.get(2)?.resolve('c');
  assert.equal((await results.next()).value?.index, 2);
  assert.equal((await results.next()).done, true);
});

test('no more is taken from the input than there is room for', async () => {
  const { open, begun, assess } = judgements();
  let pulled = 0;
  async function* input() {
    for (const image of images(1000)) {
      pulled++;
      yield image;
      await tick();
    }
  }
  const results = assessEach(input(), assess, 2, undefined);
  const first = results.next();
  for (let i = 0; i < 20; i++) await tick();
  assert.deepEqual([pulled, begun], [2, [0, 1]]);
  open.get(0)?.resolve('a');
  open.get(1)?.resolve('b');
  await first;
  for (let i = 0; i < 20; i++) await tick();
  // Nobody has asked for a second result yet.
  assert.equal(pulled, 2);
  await results.return();
});

test('leaving the loop stops what is open and ends the input', async () => {
  const { open, assess } = judgements();
  let ended = false;
  function* input() {
    try {
      yield* images(9);
    } finally {
      ended = true;
    }
  }
  const results = assessEach(input(), assess, 2, undefined);
  const first = results.next();
  await tick();
  open.get(1)?.resolve('b');
  await first;
  await results.return();
  assert.equal(open.get(0)?.signal.aborted, true);
  assert.equal(ended, true);
});

test('an abort rejects with its reason, also while the input is waited for', async () => {
  const abort = new AbortController();
  const { assess } = judgements();
  /** @type {AsyncIterable<Blob>} */
  const stuck = { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }) };
  const next = assessEach(stuck, assess, 2, abort.signal).next();
  await tick();
  abort.abort(new Error('enough'));
  await assert.rejects(next, { message: 'enough' });
  const late = assessEach(images(1), assess, 2, abort.signal).next();
  await assert.rejects(late, { message: 'enough' });
});

test('a failing input ends the whole with its error', async () => {
  const { assess } = judgements();
  function* input() {
    yield new Blob();
    throw new Error('folder gone');
  }
  await assert.rejects(assessEach(input(), assess, 2, undefined).next(), {
    message: 'folder gone',
  });
});

test('a concurrency that is no number of images is refused', async () => {
  for (const concurrency of [0, -1, 1.5, NaN, Infinity]) {
    const results = assessEach(images(1), judgements().assess, concurrency, undefined);
    await assert.rejects(results.next(), { code: 'engine.bad_option' });
  }
});

test('a stream gives events in their order and the result last', async () => {
  const result = /** @type {Assessment} */ (/** @type {unknown} */ ({ rating: 'Safe' }));
  const category = { id: 'NA', name: 'NA: None applying' };
  const verdict = /** @type {const} */ ({ rating: 'Safe', category, unsafe_probability: 0 });
  const stream = eventsOf(async (listeners) => {
    listeners.onProgress({ stage: 'vision', done: 1, total: 1 });
    await tick();
    listeners.onVerdict(verdict);
    listeners.onToken('a');
    return result;
  }, undefined);
  const events = [];
  for await (const event of stream) events.push(event);
  assert.deepEqual(events, [
    { type: 'progress', stage: 'vision', done: 1, total: 1 },
    { type: 'verdict', ...verdict },
    { type: 'token', text: 'a' },
    { type: 'done', assessment: result },
  ]);
});

test('a stream passes failures on, and stops the work when it is left', async () => {
  const failing = eventsOf(async ({ onToken }) => {
    onToken('a');
    await tick();
    throw new Error('engine');
  }, undefined);
  assert.equal((await failing.next()).value?.type, 'token');
  await assert.rejects(failing.next(), { message: 'engine' });

  /** @type {AbortSignal | undefined} */
  let seen;
  const left = eventsOf(({ signal, onToken }) => {
    seen = signal;
    onToken('a');
    return new Promise(() => undefined);
  }, undefined);
  assert.equal((await left.next()).value?.type, 'token');
  await left.return();
  assert.equal(seen?.aborted, true);
});
