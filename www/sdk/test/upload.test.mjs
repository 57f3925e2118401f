import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LlavaGuardError } from '../dist/index.js';
import { Checks } from '../dist/upload/checks.js';
import {
  checkFormData,
  ENGLISH,
  GERMAN,
  guardedFetch,
  UploadBlockedError,
} from '../dist/upload/index.js';
import { obstacle } from '../dist/upload/message.js';

/** @typedef {import('llavaguard').Assessment} Assessment */
/** @typedef {import('llavaguard').ImageInput} ImageInput */

const tick = () => new Promise((resolve) => setImmediate(resolve));

/** Judges files by their text: "safe", "unsafe", or an error's code. */
const guard = {
  assess: async (/** @type {ImageInput} */ image) => {
    const text = await /** @type {Blob} */ (image).text();
    const rating = { safe: 'Safe', unsafe: 'Unsafe' }[text];
    if (!rating) throw new LlavaGuardError({ code: text, message: 'No picture.' });
    const category = { id: 'O6', name: 'O6: Weapons' };
    return /** @type {Assessment} */ (
      /** @type {unknown} */ ({ rating, category, rationale: 'why' })
    );
  },
};

const file = (/** @type {string} */ text) => new File([text], `${text}.jpg`);

/** Settles all that waits for nothing. */
async function settle() {
  for (let i = 0; i < 30; i++) await tick();
}

/** @param {Checks} checks */
const statuses = (checks) => checks.files.map(({ status }) => status);

test('only what is judged safe may be sent', async () => {
  const checks = new Checks(() => undefined);
  checks.guard = guard;
  checks.set([file('safe'), file('unsafe'), file('image.truncated'), file('safe')]);
  assert.equal(checks.allAllowed, false);
  assert.match(obstacle(checks.files, ENGLISH), /Still checking 4 files/);
  await settle();
  assert.deepEqual(statuses(checks), ['allowed', 'blocked', 'undecided', 'allowed']);
  assert.equal(checks.files[2]?.error?.code, 'image.truncated');
  assert.equal(
    obstacle(checks.files, ENGLISH),
    '1 file not allowed here. 1 file could not be checked. Remove them to go on.',
  );
  for (const { file, status } of checks.files) if (status !== 'allowed') checks.remove(file);
  assert.equal(obstacle(checks.files, ENGLISH), '');
  assert.equal(checks.allAllowed, true);
});

test('without a guard files wait, and one that does not load decides nothing', async () => {
  const checks = new Checks(() => undefined);
  checks.set([file('safe')]);
  await settle();
  assert.deepEqual(statuses(checks), ['waiting']);
  checks.guard = Promise.reject(new LlavaGuardError({ code: 'model.fetch_failed', message: 'm' }));
  checks.again();
  await settle();
  assert.deepEqual(statuses(checks), ['undecided']);
  checks.guard = Promise.resolve(guard);
  checks.again();
  await settle();
  assert.deepEqual(statuses(checks), ['allowed']);
});

test('a site may let undecided files through, and set its own bar', async () => {
  const checks = new Checks(() => undefined);
  checks.guard = guard;
  checks.options = {
    undecided: (_, { code }) => (code === 'image.unsupported_format' ? 'allow' : 'block'),
    allow: () => true,
  };
  checks.set([file('image.unsupported_format'), file('image.truncated'), file('unsafe')]);
  await settle();
  assert.deepEqual(statuses(checks), ['allowed', 'undecided', 'allowed']);
});

test("a site's own function that throws allows nothing", async () => {
  const checks = new Checks(() => undefined);
  checks.guard = guard;
  const bad = () => {
    throw new Error('bug');
  };
  for (const options of [{ allow: bad }, { undecided: bad }]) {
    checks.options = options;
    checks.set([file('safe'), file('x.y')]);
    await settle();
    assert.ok(statuses(checks).includes('undecided'));
    assert.equal(checks.allAllowed, false);
    checks.set([]);
  }
});

test('a file keeps its verdict when others come, and is not judged twice', async () => {
  let judged = 0;
  const checks = new Checks(() => undefined);
  checks.guard = {
    assess: (image) => {
      judged++;
      return guard.assess(image);
    },
  };
  const first = file('safe');
  checks.set([first]);
  await settle();
  checks.set([first, file('unsafe')]);
  assert.deepEqual(statuses(checks), ['allowed', 'checking']);
  await settle();
  assert.equal(judged, 2);
});

test('a file that is removed is not judged on', async () => {
  /** @type {AbortSignal[]} */
  const signals = [];
  const checks = new Checks(() => undefined);
  checks.guard = {
    assess: (_, options) => {
      if (options?.signal) signals.push(options.signal);
      return new Promise((_, reject) => {
        options?.signal?.addEventListener('abort', () => reject(new Error('aborted')));
      });
    },
  };
  const [a, b, c] = [file('a'), file('b'), file('c')];
  checks.set([a, b, c]);
  await settle();
  assert.equal(signals.length, 2);
  checks.remove(a);
  await settle();
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, false, false],
  );
  assert.deepEqual(statuses(checks), ['checking', 'checking']);
});

test('an appeal is decided by the site', async () => {
  for (const [answer, status, appeal] of /** @type {const} */ ([
    [() => true, 'allowed', 'granted'],
    [() => Promise.resolve(false), 'blocked', 'refused'],
    [() => Promise.reject(new Error('offline')), 'blocked', 'failed'],
  ])) {
    const checks = new Checks(() => undefined);
    checks.guard = guard;
    checks.options = { onAppeal: answer };
    const blocked = file('unsafe');
    checks.set([blocked]);
    await settle();
    const appealing = checks.appeal(blocked);
    assert.equal(checks.files[0]?.appeal, 'open');
    assert.equal(checks.allAllowed, false);
    await appealing;
    assert.deepEqual([checks.files[0]?.status, checks.files[0]?.appeal], [status, appeal]);
  }
});

test('form data are judged before they are sent', async () => {
  const data = new FormData();
  data.append('title', 'unsafe');
  data.append('a', file('safe'));
  data.append('b', file('unsafe'));
  const files = await checkFormData(data, guard);
  assert.deepEqual(
    files.map(({ field, status }) => [field, status]),
    [
      ['a', 'allowed'],
      ['b', 'blocked'],
    ],
  );
});

test('a guarded fetch sends what is allowed and nothing else', async () => {
  /** @type {unknown[]} */
  const sent = [];
  const { fetch } = globalThis;
  globalThis.fetch = async (input, init) => {
    sent.push(init?.body ?? input);
    return new Response('ok');
  };
  try {
    const send = guardedFetch(guard);
    const form = (/** @type {string} */ text) => {
      const data = new FormData();
      data.append('a', file(text));
      return data;
    };
    const post = (/** @type {BodyInit} */ body) => send('/x', { method: 'POST', body });
    assert.equal(await (await post(form('safe'))).text(), 'ok');
    await post(file('safe'));
    await post('unsafe');
    await send('/x');
    const request = (/** @type {BodyInit} */ body) =>
      new Request('http://example.test/', { method: 'POST', body });
    await send(request(form('safe')));
    await send(request('unsafe'));
    assert.equal(sent.length, 6);
    for (const body of [form('unsafe'), file('unsafe'), new TextEncoder().encode('unsafe')]) {
      await assert.rejects(post(body), (/** @type {unknown} */ error) => {
        assert.ok(error instanceof UploadBlockedError);
        assert.equal(error.code, 'upload.blocked');
        assert.equal(error.files.length, 1);
        return true;
      });
    }
    await assert.rejects(send(request(form('unsafe'))), { code: 'upload.blocked' });
    await assert.rejects(send(request(form('image.truncated'))), { code: 'upload.blocked' });
    await assert.rejects(send(request(file('unsafe'))), { code: 'upload.blocked' });
    await assert.rejects(post(new ReadableStream()), { code: 'upload.unreadable_body' });
    assert.equal(sent.length, 6);
  } finally {
    globalThis.fetch = fetch;
  }
});

test('every language says everything', () => {
  for (const [key, english] of Object.entries(ENGLISH)) {
    const german = GERMAN[/** @type {keyof typeof GERMAN} */ (key)];
    assert.equal(typeof german, typeof english, key);
  }
  assert.match(GERMAN.someBlocked(2, 0), /2 Dateien/);
});
