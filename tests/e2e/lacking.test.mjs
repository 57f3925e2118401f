/** Loading where a browser or a page lacks something: older ones, private windows, pages without HTTPS. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import { launch, openBlank } from './browser.mjs';
import { serveFaulty } from './faulty-server.mjs';
import { demoModel, photo } from './materials.mjs';

/** @typedef {import('./browser.mjs').Page} Page */
/** @typedef {typeof import('llavaguard')} Package */

const MANIFEST = '/faulty/manifest.json';
const SIZE = demoModel().length;
/** A name the browser is told to look for on this machine; pages from there are as any without HTTPS. */
const ELSEWHERE = 'without-https.example';

/**
 * Loads the model twice in a worker that lacks something.
 * @param {Page} page
 * @param {string} lacks
 * @returns {Promise<import('llavaguard').ModelSource[]>}
 */
function loadTwice(page, lacks) {
  return page.evaluate(async ([model, lacks]) => {
    const url = '/sdk/dist/index.js';
    const { LlavaGuard } = /** @type {Package} */ (await import(url));
    const sources = [];
    for (let time = 0; time < 2; time++) {
      const guard = await LlavaGuard.load({
        model,
        build: 'simd',
        createWorker: () =>
          new Worker(`/sdk/test/workers/lacking.mjs?${lacks}`, { type: 'module' }),
      });
      sources.push(guard.source);
      guard.dispose();
    }
    return sources;
  }, /** @type {const} */ ([MANIFEST, lacks]));
}

describe('what is lacking', () => {
  /** @type {import('./browser.mjs').Browser} */
  let browser;
  /** @type {Awaited<ReturnType<typeof serveFaulty>>} */
  let server;
  /** @type {Page} */
  let page;

  before(async () => {
    browser = await launch({ args: [`--host-resolver-rules=MAP ${ELSEWHERE} 127.0.0.1`] });
    server = await serveFaulty();
  });

  beforeEach(async () => {
    await page?.context().close();
    page = await openBlank(browser, server.url);
  });

  after(async () => {
    await browser.close();
    await server.close();
  });

  for (const [what, lacks, storage, reused] of /** @type {[string, string, string, number][]} */ ([
    ['private files', 'files', 'cache', SIZE],
    ['the right to private files', 'permission', 'cache', SIZE],
    ['private files in workers', 'handles', 'cache', SIZE],
    ['any storage', 'files&caches', 'memory', 0],
    ['what tells the room', 'estimate', 'files', SIZE],
    ['locks', 'locks', 'files', SIZE],
    ['readers into a buffer', 'buffers', 'files', SIZE],
  ])) {
    test(`without ${what} a model is verified, and kept where it can be (${storage})`, async () => {
      const sources = await loadTwice(page, lacks);
      const seen = sources.map(({ verified, storage, reused }) => ({ verified, storage, reused }));
      assert.deepEqual(seen, [
        { verified: true, storage, reused: 0 },
        { verified: true, storage, reused },
      ]);
    });
  }

  test('without what tells the room a probe leaves it out', async () => {
    const { storage } = await page.evaluate(async (manifest) => {
      const url = '/sdk/dist/index.js';
      const { LlavaGuard } = /** @type {Package} */ (await import(url));
      const createWorker = () =>
        new Worker('/sdk/test/workers/lacking.mjs?estimate', { type: 'module' });
      return LlavaGuard.probe(manifest, { build: 'simd', createWorker });
    }, MANIFEST);
    assert.deepEqual(storage, { needed: SIZE, stored: 0 });
  });

  test('a page without HTTPS holds a model in memory, and judges', async () => {
    await page.goto(`${server.url.replace('127.0.0.1', ELSEWHERE)}sdk/test/blank.html`);
    const found = await page.evaluate(
      async ([model, base64]) => {
        const url = '/sdk/dist/index.js';
        const sdk = /** @type {Package} */ (await import(url));
        const probe = await sdk.LlavaGuard.probe(model);
        const guard = await sdk.LlavaGuard.load({ model, build: 'simd' });
        const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
        const { rating } = await guard.assess(bytes, { detail: 'low', rationale: false });
        guard.dispose();
        return {
          secure: isSecureContext,
          canRun: probe.canRun,
          free: probe.storage.free ?? null,
          source: guard.source,
          rating,
          stored: await sdk.storedModels(),
          remembered: (await sdk.rememberedModelFile()) ?? null,
        };
      },
      /** @type {const} */ ([MANIFEST, photo('firearm-pistol.jpg').toString('base64')]),
    );
    const { source, ...rest } = found;
    assert.deepEqual([source.verified, source.storage], [true, 'memory']);
    assert.deepEqual(rest, {
      secure: false,
      canRun: true,
      free: null,
      rating: 'Unsafe',
      stored: [],
      remembered: null,
    });
  });

  test('a file that a worker which has ended still holds is waited for', async () => {
    const source = await page.evaluate(async (model) => {
      const url = '/sdk/dist/index.js';
      const { LlavaGuard, storedModels } = /** @type {Package} */ (await import(url));
      (await LlavaGuard.load({ model, build: 'simd' })).dispose();
      const [stored] = await storedModels();
      const holder = new Worker(`/sdk/test/workers/holding.mjs?${stored?.id}`, { type: 'module' });
      await new Promise((resolve) => (holder.onmessage = resolve));
      // Once the loader has met the file a first time it is let go.
      const channel = new BroadcastChannel('met');
      channel.onmessage = () => holder.postMessage('let go');
      const createWorker = () =>
        new Worker('/sdk/test/workers/lacking.mjs?patience', { type: 'module' });
      const guard = await LlavaGuard.load({ model, build: 'simd', createWorker });
      guard.dispose();
      return guard.source;
    }, MANIFEST);
    assert.deepEqual([source.storage, source.reused], ['files', SIZE]);
  });
});
