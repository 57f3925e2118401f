import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LlavaGuardError } from 'llavaguard';

import { Queue } from '../../node_modules/.cache/tsc/demo/audit/queue.js';
import { Rows } from '../../node_modules/.cache/tsc/demo/audit/rows.js';
import { TimeLeft } from '../../node_modules/.cache/tsc/demo/audit/time-left.js';
import { assessment } from './audit-materials.mjs';

/** Lets all that is ready go on. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 0));

/**
 * A queue over `count` files, whose judging the test ends itself.
 * @param {number} count
 */
function audit(count) {
  const rows = new Rows(() => undefined);
  rows.add(
    Array.from({ length: count }, (_, at) => ({
      path: `${at}.jpg`,
      source: new File(['x'], `${at}.jpg`),
    })),
  );
  /** @type {{ name: string, signal: AbortSignal, done: () => void, fail: (code: string) => void }[]} */
  const asked = [];
  let clock = 0;
  const queue = new Queue(rows, {
    judge: (file, signal) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => {
          reject(signal.reason);
        });
        asked.push({
          name: /** @type {File} */ (file).name,
          signal,
          done: () => {
            clock += 1000;
            resolve(assessment(0.9));
          },
          fail: (code) => {
            reject(new LlavaGuardError({ code, message: code }));
          },
        });
      }),
    show: (error) => {
      const { code, message } = /** @type {LlavaGuardError} */ (error);
      return { code, message };
    },
    onChange: () => undefined,
    now: () => clock,
  });
  const states = () => rows.all.map(({ state }) => state);
  /** Ends what is asked for, one after the other. */
  const finish = async (times = 1) => {
    for (let time = 0; time < times; time++) {
      asked.at(-1)?.done();
      await settle();
    }
  };
  return { rows, queue, asked, states, finish };
}

test('judges one at a time, in order, until all are judged', async () => {
  const { queue, asked, states, finish } = audit(3);
  assert.equal(queue.state, 'idle');
  queue.start();
  await settle();
  assert.deepEqual(states(), ['judging', 'waiting', 'waiting']);
  await finish(3);
  assert.deepEqual(states(), ['judged', 'judged', 'judged']);
  assert.deepEqual(
    asked.map(({ name }) => name),
    ['0.jpg', '1.jpg', '2.jpg'],
  );
  assert.equal(queue.state, 'idle');
});

test('a pause stops the work at once, and the picture is judged anew', async () => {
  const { queue, asked, states, finish } = audit(2);
  queue.start();
  await settle();
  queue.pause();
  assert.equal(asked[0]?.signal.aborted, true);
  await settle();
  assert.deepEqual(states(), ['waiting', 'waiting']);
  assert.equal(queue.state, 'paused');
  queue.start();
  await settle();
  assert.equal(asked[1]?.name, '0.jpg');
  await finish(2);
  assert.deepEqual(states(), ['judged', 'judged']);
});

test('pausing and going on at once has two runs never meet', async () => {
  const { queue, asked, states, finish } = audit(2);
  queue.start();
  await settle();
  queue.pause();
  queue.start();
  await settle();
  assert.equal(asked.filter(({ signal }) => !signal.aborted).length, 1);
  await finish(2);
  assert.deepEqual(states(), ['judged', 'judged']);
});

test('a picture that cannot be judged is a row with its error, and the rest goes on', async () => {
  const { rows, queue, asked, states, finish } = audit(2);
  queue.start();
  await settle();
  asked[0]?.fail('image.truncated');
  await settle();
  await finish();
  assert.deepEqual(states(), ['failed', 'judged']);
  assert.deepEqual(rows.all[0]?.error, { code: 'image.truncated', message: 'image.truncated' });
  rows.again([.../** @type {const} */ ([rows.all[0]])].filter((row) => row !== undefined));
  queue.start();
  await settle();
  await finish();
  assert.deepEqual(states(), ['judged', 'judged']);
});

test('what concerns the engine stops the queue and keeps the rows waiting', async () => {
  for (const code of ['guard.disposed', 'page.no_model', 'policy.unknown_key']) {
    const { queue, asked, states } = audit(2);
    queue.start();
    await settle();
    asked[0]?.fail(code);
    await settle();
    assert.deepEqual(states(), ['waiting', 'waiting'], code);
    assert.equal(queue.state, 'stopped');
    assert.equal(queue.error?.code, code);
  }
});

test('a crash stops the queue and is told of the picture it happened with', async () => {
  const { queue, asked, states, finish } = audit(2);
  queue.start();
  await settle();
  asked[0]?.fail('engine.crashed');
  await settle();
  assert.deepEqual(states(), ['failed', 'waiting']);
  assert.equal(queue.state, 'stopped');
  queue.start();
  assert.equal(queue.error, undefined);
  await settle();
  await finish();
  assert.deepEqual(states(), ['failed', 'judged']);
});

test('the time left is told once three pictures tell it, and is of the last ones', async () => {
  const { queue, finish } = audit(10);
  queue.start();
  await settle();
  await finish(2);
  assert.equal(queue.millisecondsLeft, undefined);
  await finish();
  assert.equal(queue.millisecondsLeft, 7000);
  queue.pause();
  assert.equal(queue.millisecondsLeft, undefined);

  const times = new TimeLeft();
  for (let time = 0; time < 32; time++) times.took(9_000);
  for (let time = 0; time < 32; time++) times.took(100);
  assert.equal(times.left(10), 1_000);
});

test('resetting ends what is under way', async () => {
  const { rows, queue, asked } = audit(2);
  queue.start();
  await settle();
  rows.clear();
  queue.reset();
  assert.equal(asked[0]?.signal.aborted, true);
  await settle();
  assert.equal(rows.all.length, 0);
  assert.equal(queue.state, 'idle');
});
