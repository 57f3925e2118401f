/**
 * Loading a model over a bad network and from a bad store, in a real browser: the loader's own tests
 * (`crates/store/tests/faults.rs`) have more faults, these have the real fetch, file system and locks.
 */

import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';

import { launch, launchPersistent, openBlank } from './browser.mjs';
import { serveFaulty } from './faulty-server.mjs';
import { demoManifest, demoModel, photo } from './materials.mjs';

/** @typedef {import('./browser.mjs').Page} Page */
/** @typedef {typeof import('llavaguard')} Package */
/** @typedef {import('llavaguard').ModelSource} ModelSource */

const MODEL = '/faulty/llavaguard-demo-q8_0.gguf';
const MANIFEST = '/faulty/manifest.json';
const SIZE = demoModel().length;
const CHUNK = 1 << 20;
const CONNECTIONS = 4;

/**
 * Loads a model in a page and gives what came of it.
 * @param {Page} page
 * @param {string} model
 * @param {Partial<import('llavaguard').LoadOptions>} [options]
 * @returns {Promise<{ source?: ModelSource, code?: string, message?: string }>}
 */
function load(page, model, options = {}) {
  return page.evaluate(async ([model, options]) => {
    const url = '/sdk/dist/index.js';
    const { LlavaGuard } = /** @type {Package} */ (await import(url));
    try {
      const guard = await LlavaGuard.load({ build: 'simd', ...options, model });
      const { source } = guard;
      guard.dispose();
      return { source };
    } catch (error) {
      const { code, message } = /** @type {{ code: string, message: string }} */ (error);
      return { code, message };
    }
  }, /** @type {const} */ ([model, options]));
}

/**
 * Changes what is stored of the one model in the private files, or asks about it.
 * @param {Page} page
 * @param {number[]} flips bits to change
 * @returns {Promise<{ sha256: string, size: number }>}
 */
function store(page, flips = []) {
  return page.evaluate(async (flips) => {
    const root = await navigator.storage.getDirectory();
    const models = await root.getDirectoryHandle('llavaguard-models');
    for await (const [name, entry] of models.entries()) {
      if (name === 'manifests' || entry.kind !== 'directory') continue;
      const folder = /** @type {FileSystemDirectoryHandle} */ (entry);
      const handle = await folder.getFileHandle('weights');
      const file = await handle.getFile();
      const bytes = new Uint8Array(await file.arrayBuffer());
      if (flips.length > 0) {
        for (const bit of flips) {
          const at = Math.floor(bit / 8);
          bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit % 8));
        }
        const writable = await handle.createWritable();
        await writable.write(bytes);
        await writable.close();
      }
      const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
      const sha256 = Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
      return { sha256, size: file.size };
    }
    throw new Error('nothing is stored');
  }, flips);
}

/**
 * Waits until a page has no workers any more; the browser takes a moment to end them.
 * @param {Page} page
 */
async function workersEnd(page) {
  const deadline = Date.now() + 10_000;
  while (page.workers().length > 0 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal(page.workers().length, 0);
}

/**
 * A document without its members' order and blanks, as it is signed.
 * @param {unknown} value
 * @returns {string}
 */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, value]) => `${JSON.stringify(name)}:${canonical(value)}`).join()}}`;
}

/**
 * @param {unknown} document
 * @param {string} public_key
 * @param {import('node:crypto').KeyObject} key
 */
function signature(document, public_key, key) {
  const message = `llavaguard manifest 1\n${canonical(document)}`;
  const value = sign(null, Buffer.from(message), key).toString('hex');
  return { algorithm: 'ed25519', public_key, value };
}

describe('loading', () => {
  /** @type {import('./browser.mjs').Browser} */
  let browser;
  /** @type {Awaited<ReturnType<typeof serveFaulty>>} */
  let server;
  /** @type {Page} */
  let page;

  before(async () => {
    browser = await launch();
    server = await serveFaulty();
  });

  beforeEach(async () => {
    await page?.context().close();
    page = await openBlank(browser, server.url);
    Object.assign(server.state, {
      faults: {},
      served: 0,
      requests: [],
      model: demoModel(),
      manifest: JSON.stringify(demoManifest()),
    });
  });

  after(async () => {
    await browser.close();
    await server.close();
  });

  test('a manifest makes a model verified; the second load fetches nothing', async () => {
    const first = await load(page, MANIFEST);
    assert.deepEqual(first.source, {
      bytes: SIZE,
      verified: true,
      reused: 0,
      fetched: SIZE,
      repaired: 0,
      storage: 'files',
    });
    assert.equal(server.state.requests.length, Math.ceil(SIZE / CHUNK));
    const second = await load(page, MANIFEST);
    assert.equal(second.source?.reused, SIZE);
    assert.equal(server.state.served, SIZE);
    server.state.faults = { unreachable: true };
    assert.equal((await load(page, MANIFEST)).source?.verified, true);
  });

  test('a plain address works too, unverified, and is kept', async () => {
    const first = await load(page, MODEL);
    assert.deepEqual([first.source?.verified, first.source?.fetched], [false, SIZE]);
    const second = await load(page, MODEL);
    assert.deepEqual([second.source?.verified, second.source?.reused], [false, SIZE]);
    server.state.faults = { unreachable: true };
    assert.equal((await load(page, MODEL)).source?.reused, SIZE);
  });

  test('without keep, nothing stays behind', async () => {
    const { source } = await load(page, MANIFEST, { keep: false });
    assert.deepEqual([source?.verified, source?.storage], [true, 'memory']);
    await assert.rejects(store(page));
  });

  for (const [what, faults] of /** @type {[string, import('./faulty-server.mjs').Faults][]} */ ([
    ['cut connections', { cut: 0.5 }],
    ['wrong bytes', { wrongBytes: 0.2 }],
    ['short answers', { wrongLength: 0.4 }],
    ['a busy server', { serverError: 0.28, tooMany: 0.07 }],
    ['a validator that changes', { changedEtag: 0.5, cut: 0.3 }],
    ['no ranges', { noRanges: true }],
    ['no ranges and cut connections', { noRanges: true, cut: 0.3 }],
  ])) {
    test(`${what}: survived`, async () => {
      server.state.faults = faults;
      const { source, message } = await load(page, MANIFEST);
      assert.equal(source?.verified, true, message);
      const { file } = demoManifest();
      assert.deepEqual(await store(page), { sha256: file.sha256, size: SIZE });
    });
  }

  test('twenty downloads through all faults at once end in the right bytes', async () => {
    const { file } = demoManifest();
    for (let run = 0; run < 20; run++) {
      const some = () => (Math.random() < 0.5 ? Math.random() * 0.25 : 0);
      const faults = {
        cut: some(),
        wrongBytes: some() / 2,
        wrongLength: some(),
        serverError: some(),
        changedEtag: some(),
      };
      server.state.faults = faults;
      const { source, code, message } = await load(page, MANIFEST);
      if (code === undefined) {
        assert.equal(source?.verified, true);
        assert.deepEqual(await store(page), { sha256: file.sha256, size: SIZE });
      } else {
        assert.match(code, /^model\.(fetch_failed|wrong_bytes)$/, message);
      }
      await page.evaluate(async () => {
        const url = '/sdk/dist/index.js';
        const { deleteStoredModel, storedModels } = /** @type {Package} */ (await import(url));
        for (const { id } of await storedModels()) await deleteStoredModel(id);
      });
    }
  });

  test('a replaced file is a typed error and is never used', async () => {
    server.state.model = Buffer.from(demoModel());
    server.state.model.writeUInt8(server.state.model.readUInt8(5 * CHUNK) ^ 1, 5 * CHUNK);
    const { code, message } = await load(page, MANIFEST);
    assert.equal(code, 'model.wrong_bytes');
    assert.match(message ?? '', /chunk 5 /);
    await workersEnd(page);
    server.state.model = demoModel();
    const again = await load(page, MANIFEST);
    assert.ok((again.source?.reused ?? 0) >= CHUNK, JSON.stringify(again));
  });

  test('a damaged store is mended by its bad chunks alone', async () => {
    await load(page, MANIFEST);
    const good = await store(page);
    for (const bits of [[0], [8 * SIZE - 1], [8 * 3 * CHUNK + 5], [8 * CHUNK - 1, 8 * CHUNK]]) {
      server.state.requests = [];
      await store(page, bits);
      const { source } = await load(page, MANIFEST);
      const chunks = new Set(bits.map((bit) => Math.floor(bit / 8 / CHUNK)));
      assert.equal(source?.repaired, chunks.size);
      assert.equal(server.state.requests.length, chunks.size);
      assert.deepEqual(await store(page), good);
    }
  });

  test('two tabs at once download once', async () => {
    server.state.faults = { bytesPerSecond: 2 << 20 };
    const other = await page.context().newPage();
    await other.goto(`${server.url}sdk/test/blank.html`);
    const [a, b] = await Promise.all([load(page, MANIFEST), load(other, MANIFEST)]);
    assert.deepEqual([a.source?.verified, b.source?.verified], [true, true]);
    assert.equal((a.source?.fetched ?? 0) + (b.source?.fetched ?? 0), SIZE);
    assert.equal(server.state.served, SIZE);
  });

  test('a full storage is an error with the numbers, and what did fit is kept', async () => {
    const session = await page.context().newCDPSession(page);
    const origin = new URL(server.url).origin;
    await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 4e6 });
    const { code, message } = await load(page, MANIFEST);
    assert.equal(code, 'store.quota_exceeded');
    // Chromium does not tell the quota it keeps to, so what is free is not claimed.
    assert.match(message ?? '', /needs [5-9]\.\d MB more than the browser allows/);
    await session.send('Storage.overrideQuotaForOrigin', { origin });
    const { source } = await load(page, MANIFEST);
    assert.ok((source?.reused ?? 0) >= CHUNK, JSON.stringify(source));
  });

  test('an abort stops at once, leaves nothing running, and keeps what has arrived', async () => {
    server.state.faults = { bytesPerSecond: 3 << 20 };
    const name = await page.evaluate(async (model) => {
      const url = '/sdk/dist/index.js';
      const { LlavaGuard } = /** @type {Package} */ (await import(url));
      const abort = new AbortController();
      const onProgress = (/** @type {import('llavaguard').Progress} */ step) => {
        if (step.stage === 'download' && step.done > 5e6) abort.abort();
      };
      const loading = LlavaGuard.load({ model, onProgress, signal: abort.signal });
      return loading.catch((/** @type {Error} */ error) => error.name);
    }, MANIFEST);
    assert.equal(name, 'AbortError');
    await new Promise((resolve) => setTimeout(resolve, 300));
    const { served } = server.state;
    await new Promise((resolve) => setTimeout(resolve, 700));
    assert.equal(server.state.served, served);
    await workersEnd(page);
    const { source } = await load(page, MANIFEST);
    assert.ok((source?.reused ?? 0) >= CHUNK, JSON.stringify(source));
  });

  test('stored models are listed and deleted, but not while they are loaded', async () => {
    await load(page, MANIFEST);
    const found = await page.evaluate(async (model) => {
      const url = '/sdk/dist/index.js';
      const { deleteStoredModel, LlavaGuard, storedModels } = /** @type {Package} */ (
        await import(url)
      );
      const [one] = await storedModels();
      if (!one) throw new Error('nothing is stored');
      let busy = '';
      await LlavaGuard.load({
        model,
        onProgress: () => {
          deleteStoredModel(one.id).catch((error) => (busy ||= error.code));
        },
      });
      await deleteStoredModel(one.id);
      return { one, busy, left: (await storedModels()).length };
    }, MANIFEST);
    assert.equal(found.one.name, 'llavaguard-demo');
    assert.deepEqual([found.one.bytes, found.one.storedBytes], [SIZE, SIZE]);
    assert.deepEqual([found.one.complete, found.one.verified], [true, true]);
    assert.deepEqual([found.busy, found.left], ['store.in_use', 0]);
  });

  test('a probe says what a model needs before it is fetched', async () => {
    const probe = await page.evaluate(async (manifest) => {
      const url = '/sdk/dist/index.js';
      const { LlavaGuard } = /** @type {Package} */ (await import(url));
      return LlavaGuard.probe(manifest);
    }, MANIFEST);
    assert.equal(probe.canRun, true, JSON.stringify(probe));
    assert.deepEqual([probe.model.bytes, probe.storage.stored], [SIZE, 0]);
    assert.ok(probe.speed.operationsPerSecond > 1e8 && probe.speed.secondsToVerdict > 0);
    assert.ok(probe.memory.needed > SIZE && (probe.storage.free ?? 0) > 0);
    assert.deepEqual(server.state.requests, []);
    await workersEnd(page);
  });

  test('files may lie elsewhere than beside their manifest', async () => {
    const { source } = await page.evaluate(
      async ([manifest, file]) => {
        const url = '/sdk/dist/index.js';
        const { LlavaGuard } = /** @type {Package} */ (await import(url));
        const model = { manifest: manifest ?? '', files: [file ?? ''] };
        const guard = await LlavaGuard.load({ model, build: 'simd' });
        guard.dispose();
        return { source: guard.source };
      },
      [MANIFEST, `/faulty/elsewhere/other-name.bin`],
    );
    assert.equal(source.verified, true);
  });

  test('a file the user has chosen is remembered', async () => {
    const found = await page.evaluate(async (file) => {
      const url = '/sdk/dist/index.js';
      const sdk = /** @type {Package} */ (await import(url));
      const none = await sdk.rememberedModelFile();
      const root = await navigator.storage.getDirectory();
      const handle = await root.getFileHandle('mine.gguf', { create: true });
      const writable = await handle.createWritable();
      await (await fetch(file)).body?.pipeTo(writable);
      await sdk.rememberModelFile(handle);
      const again = await sdk.rememberedModelFile();
      if (!again) throw new Error('it was not remembered');
      const model = await sdk.openModelFile(again);
      const guard = await sdk.LlavaGuard.load({ model, build: 'simd' });
      guard.dispose();
      await sdk.forgetModelFile();
      const forgotten = await sdk.rememberedModelFile();
      return {
        none: none ?? null,
        name: again.name,
        source: guard.source,
        forgotten: forgotten ?? null,
      };
    }, MODEL);
    assert.deepEqual([found.none, found.name, found.forgotten], [null, 'mine.gguf', null]);
    assert.deepEqual([found.source.storage, found.source.verified], ['file', false]);
  });

  test('an unsigned manifest is refused where keys are trusted', async () => {
    const trustedKeys = ['19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1'];
    assert.equal((await load(page, MANIFEST, { trustedKeys })).code, 'manifest.untrusted');
    assert.equal((await load(page, MODEL, { trustedKeys })).code, 'manifest.untrusted');
    assert.deepEqual(server.state.requests, []);
  });

  test('a manifest is trusted by its signature, and not once a letter of it is another', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const key = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex');
    const { self_test: _, golden: __, ...plain } = demoManifest();
    const signed = signature(plain, key, privateKey);
    const trustedKeys = [key];
    const loadSigned = (/** @type {unknown} */ manifest) => {
      server.state.manifest = JSON.stringify(manifest);
      return load(page, MANIFEST, { trustedKeys });
    };
    const { source } = await loadSigned({ ...plain, signature: signed });
    assert.deepEqual([source?.verified, source?.signedBy], [true, key]);
    const changed = await loadSigned({ ...plain, name: 'another', signature: signed });
    assert.equal(changed.code, 'manifest.bad_signature');
    const { publicKey: other } = generateKeyPairSync('ed25519');
    trustedKeys[0] = other.export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex');
    assert.equal((await loadSigned({ ...plain, signature: signed })).code, 'manifest.untrusted');
    await workersEnd(page);
  });

  test('the browser is asked not to evict what is kept, and not where nothing is', async () => {
    const asked = await page.evaluate(async (model) => {
      const url = '/sdk/dist/index.js';
      const { LlavaGuard } = /** @type {Package} */ (await import(url));
      let times = 0;
      navigator.storage.persist = async () => {
        times += 1;
        return false;
      };
      const counts = [];
      for (const keep of [false, true]) {
        (await LlavaGuard.load({ model, build: 'simd', keep })).dispose();
        counts.push(times);
      }
      return counts;
    }, MANIFEST);
    assert.deepEqual(asked, [0, 1]);
  });

  test('an image is judged as ever by what was loaded verified', async () => {
    const rating = await page.evaluate(
      async ([model, base64]) => {
        const url = '/sdk/dist/index.js';
        const { LlavaGuard } = /** @type {Package} */ (await import(url));
        const guard = await LlavaGuard.load({ model: model ?? '' });
        const bytes = Uint8Array.from(atob(base64 ?? ''), (char) => char.charCodeAt(0));
        const { rating } = await guard.assess(bytes, { detail: 'low', rationale: false });
        guard.dispose();
        return rating;
      },
      [MANIFEST, photo('firearm-pistol.jpg').toString('base64')],
    );
    assert.equal(rating, 'Unsafe');
  });

  test('a browser killed ten times in mid-download loses one chunk a connection at most', async () => {
    const profile = await mkdtemp(join(tmpdir(), 'llavaguard-'));
    server.state.faults = { bytesPerSecond: 1 << 20 };
    let kills = 0;
    try {
      for (;;) {
        const { context, kill } = await launchPersistent(profile);
        const tab = context.pages()[0] ?? (await context.newPage());
        await tab.goto(`${server.url}sdk/test/blank.html`);
        if (kills === 10) {
          const { source, message } = await load(tab, MANIFEST);
          assert.equal(source?.verified, true, message);
          const { file } = demoManifest();
          assert.equal((await store(tab)).sha256, file.sha256);
          await context.close();
          break;
        }
        const loading = load(tab, MANIFEST).catch(() => undefined);
        await new Promise((resolve) => setTimeout(resolve, 300 + Math.random() * 900));
        await kill();
        await loading;
        kills += 1;
        server.state.faults = { bytesPerSecond: (1 << 20) + kills * (1 << 18) };
      }
      const lost = server.state.served - SIZE;
      console.log(`killed ${kills} times: ${lost} bytes fetched twice`);
      assert.ok(lost <= kills * CONNECTIONS * CHUNK, `${lost} bytes were lost`);
    } finally {
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    }
  });
});
