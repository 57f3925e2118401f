import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Connection } from '../dist/connection.js';
import { LlavaGuardError } from '../dist/errors.js';
import { FakeWorker } from './fake-worker.mjs';

/** @type {import('../dist/messages.js').Request} */
const ASK = { type: 'promptText', policy: '{}' };
/** @type {import('../dist/messages.js').Request} */
const OPEN = { type: 'open', image: { kind: 'bytes', bytes: new Uint8Array(3) }, detail: 'low' };

function connect() {
  const worker = new FakeWorker();
  return { worker, connection: new Connection(worker) };
}

test('answers reach their own request, in whatever order they come', async () => {
  const { worker, connection } = connect();
  const first = connection.request(ASK);
  const second = connection.request(ASK);
  const [a, b] = worker.sent.map(({ id }) => id);
  worker.say({ type: 'done', id: b, value: 'second' });
  worker.say({ type: 'done', id: a, value: 'first' });
  assert.deepEqual(await Promise.all([first, second]), ['first', 'second']);
});

test('an error keeps its code, message and place', async () => {
  const { worker, connection } = connect();
  const request = connection.request(ASK);
  const error = { code: 'policy.unknown_key', message: 'No such key.', place: 'categories.O6' };
  worker.say({ type: 'failed', id: worker.sent[0].id, error });
  await assert.rejects(request, (/** @type {any} */ thrown) => {
    assert.ok(thrown instanceof LlavaGuardError);
    assert.deepEqual({ ...thrown, message: thrown.message }, { name: 'LlavaGuardError', ...error });
    return true;
  });
});

test('notices go to the request they are about, and to none that is over', async () => {
  const { worker, connection } = connect();
  /** @type {unknown[]} */
  const heard = [];
  const request = connection.request(ASK, { onNotice: (notice) => heard.push(notice) });
  const { id } = worker.sent[0];
  const notice = { type: 'rationale', text: 'a' };
  worker.say({ type: 'notice', id: id + 1, notice: { type: 'rationale', text: 'not ours' } });
  worker.say({ type: 'notice', id, notice });
  worker.say({ type: 'done', id, value: undefined });
  worker.say({ type: 'notice', id, notice: { type: 'rationale', text: 'late' } });
  await request;
  assert.deepEqual(heard, [notice]);
});

test('an abort rejects at once with the reason and tells the worker', async () => {
  const { worker, connection } = connect();
  const abort = new AbortController();
  const request = connection.request(ASK, { signal: abort.signal });
  abort.abort();
  await assert.rejects(request, { name: 'AbortError' });
  assert.deepEqual(worker.sent[1], { type: 'cancel', id: worker.sent[0].id });
  // What the worker says afterwards is nobody's any more.
  worker.say({ type: 'done', id: worker.sent[0].id, value: 'late' });
  assert.equal(worker.sent.length, 2);
});

test('an aborted signal sends nothing, a settled request is not cancelled', async () => {
  const { worker, connection } = connect();
  const reason = new Error('mine');
  await assert.rejects(connection.request(ASK, { signal: AbortSignal.abort(reason) }), reason);
  assert.equal(worker.sent.length, 0);

  const abort = new AbortController();
  const request = connection.request(ASK, { signal: abort.signal });
  worker.say({ type: 'done', id: worker.sent[0].id, value: 1 });
  await request;
  abort.abort();
  assert.equal(worker.sent.length, 1);
});

test('a session opened in spite of its abort is closed', async () => {
  const { worker, connection } = connect();
  const abort = new AbortController();
  const request = connection.request(OPEN, { signal: abort.signal });
  abort.abort();
  await assert.rejects(request, { name: 'AbortError' });
  worker.say({ type: 'done', id: worker.sent[0].id, value: 7 });
  assert.deepEqual(worker.sent.at(-1)?.request, { type: 'close', session: 7 });
});

test('a crash rejects what is open and what comes later, and ends the worker', async () => {
  for (const crash of [
    (/** @type {FakeWorker} */ worker) => worker.fail('unreachable'),
    (/** @type {FakeWorker} */ worker) => worker.say({ type: 'crashed', message: 'unreachable' }),
  ]) {
    const { worker, connection } = connect();
    const open = connection.request(ASK);
    crash(worker);
    await assert.rejects(open, { code: 'engine.crashed', message: /unreachable/ });
    await assert.rejects(connection.request(ASK), { code: 'engine.crashed' });
    assert.ok(worker.terminated);
  }
});

test('a crash of a thread is heard past the engine that waits for it', async () => {
  const { worker, connection } = connect();
  const { port1, port2 } = new MessageChannel();
  worker.onmessage?.(/** @type {any} */ ({ data: { type: 'thread', crashPort: port1 } }));
  const open = connection.request(ASK);
  port2.postMessage('RuntimeError: unreachable');
  await assert.rejects(open, { code: 'engine.crashed' });
  assert.ok(worker.terminated);
});

test('closing rejects what is open with the reason given', async () => {
  const { worker, connection } = connect();
  const open = connection.request(ASK);
  const reason = new LlavaGuardError({ code: 'guard.disposed', message: 'gone' });
  connection.close(reason);
  await assert.rejects(open, reason);
  await assert.rejects(connection.request(ASK), reason);
  assert.ok(worker.terminated);
});

test('a request that cannot be sent is rejected, the connection lives on', async () => {
  const { worker, connection } = connect();
  const bad = /** @type {any} */ ({ type: 'load', model: () => undefined });
  await assert.rejects(connection.request(bad), { name: 'DataCloneError' });
  const good = connection.request(ASK);
  worker.say({ type: 'done', id: worker.sent[0].id, value: 'text' });
  assert.equal(await good, 'text');
});
