import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Queue } from '../dist/worker/queue.js';

/** A queue with turns that end when they are told, and what became of them. */
function watched() {
  const queue = new Queue();
  /** @type {string[]} */
  const log = [];
  /** @type {Map<string, () => void>} */
  const ends = new Map();
  const add = (
    /** @type {string} */ name,
    /** @type {import('../dist/messages.js').Priority} */ priority = 'user-visible',
  ) => {
    queue.add({
      priority,
      prepare: () => log.push(`prepare ${name}`),
      run: () => {
        log.push(`run ${name}`);
        return new Promise((resolve) => ends.set(name, resolve));
      },
    });
  };
  const end = async (/** @type {string} */ name) => {
    ends.get(name)?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { log, add, end };
}

test('turns come by priority, then in order of arrival', async () => {
  const { log, add, end } = watched();
  add('first', 'background');
  add('batch 1', 'background');
  add('batch 2', 'background');
  add('call');
  add('urgent', 'user-blocking');
  add('call 2');
  for (const name of ['first', 'urgent', 'call', 'call 2', 'batch 1', 'batch 2']) await end(name);
  assert.deepEqual(
    log.filter((line) => line.startsWith('run')),
    ['run first', 'run urgent', 'run call', 'run call 2', 'run batch 1', 'run batch 2'],
  );
});

test('only the one that is next is prepared ahead', async () => {
  const { log, add, end } = watched();
  add('a');
  add('b');
  add('c');
  assert.deepEqual([...new Set(log)], ['run a', 'prepare b']);
  await end('a');
  assert.deepEqual([...new Set(log)], ['run a', 'prepare b', 'prepare c', 'run b']);
});
