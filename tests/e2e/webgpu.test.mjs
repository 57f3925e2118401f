import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { launch, openDemo, outcome, serve } from './browser.mjs';
import { photo } from './materials.mjs';

/** @typedef {typeof import('llavaguard')} Package */
/** @typedef {import('llavaguard').Assessment} Assessment */

const MODEL = '/demo/dist/model/llavaguard-demo-q8_0.gguf';
const PHOTO = 'firearm-pistol.jpg';
/** What destroys a worker's devices when it is told to, to stand before the worker's own script. */
const DESTROYER = readFileSync(
  new URL('../../www/sdk/test/destroyable-worker.js', import.meta.url),
  'utf8',
).replace(/^import .*$/m, '');

/**
 * What a page tells of one assessment whose GPU may have been lost on the way.
 * @typedef {{ before: string, build: string, device: string, stages: string[], assessment: Assessment }} Story
 */

/**
 * Loads the model in a fresh page and judges the photo; where `destroyed` says so, the GPU device is
 * destroyed when the vision tower is at work: the first one, or every one.
 *
 * @param {import('./browser.mjs').Browser} browser
 * @param {string} url
 * @param {{ build: 'webgpu' | 'simd', destroyed?: 'first' | 'every', session?: boolean, onVision?: () => Promise<void> }} options
 * @returns {Promise<Story>}
 */
async function judged(browser, url, { build, destroyed, session = false, onVision }) {
  const page = await browser.newPage();
  page.setDefaultTimeout(600_000);
  let seen = 0;
  await page.exposeFunction('seenVision', async () => {
    if (seen++ === 0) await onVision?.();
  });
  await page.goto(`${url}sdk/test/blank.html`);
  const story = await page.evaluate(
    async ({ model, base64, build, destroyed, session }) => {
      const { seenVision } = /** @type {{ seenVision: () => Promise<void> }} */ (
        /** @type {unknown} */ (globalThis)
      );
      const path = '/sdk/dist/index.js';
      const sdk = /** @type {Package} */ (await import(path));
      const channel = new BroadcastChannel('destroy');
      const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
      const photo = new Blob([bytes]);

      const guard = await sdk.LlavaGuard.load({
        model,
        build,
        createWorker: () => new Worker('/sdk/test/destroyable-worker.js', { type: 'module' }),
      });
      const before = guard.build;
      /** @type {string[]} */
      const stages = [];
      let left = destroyed === 'first' ? 1 : destroyed === 'every' ? Infinity : 0;
      const onProgress = (/** @type {import('llavaguard').Progress} */ progress) => {
        stages.push(progress.stage);
        if (progress.stage !== 'vision') return;
        void seenVision();
        if (left > 0) {
          left -= 1;
          channel.postMessage('now');
        }
      };
      const options = { onProgress, rationale: false, detail: /** @type {const} */ ('low') };
      const opened = session ? await guard.session(photo, options) : undefined;
      // A session's image is looked at when it is opened; its device is lost before it is judged.
      if (opened && destroyed) {
        channel.postMessage('now');
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
      const assessment = await (opened ? opened.judge(options) : guard.assess(photo, options));
      const told = { before, build: guard.build, device: guard.info.device };
      guard.dispose();
      return { ...told, stages: [...new Set(stages)], assessment };
    },
    { model: MODEL, base64: photo(PHOTO).toString('base64'), build, destroyed, session },
  );
  await page.close();
  return story;
}

/**
 * The same verdict; a GPU adds up in another order than a CPU.
 * @param {Assessment} found
 * @param {Assessment} expected
 */
function same(found, expected) {
  assert.equal(found.rating, expected.rating);
  assert.equal(found.category.id, expected.category.id);
  assert.ok(Math.abs(found.unsafe_probability - expected.unsafe_probability) < 1e-2);
}

describe('the webgpu build', () => {
  /** @type {import('./browser.mjs').Browser} */
  let browser;
  /** @type {Awaited<ReturnType<typeof serve>>} */
  let server;
  /** @type {Assessment} */
  let expected;

  before(async () => {
    const root = fileURLToPath(new URL('../../www', import.meta.url));
    const manifest = readFileSync(`${root}/demo/dist/model/manifest.json`, 'utf8');
    const huge = manifest.replace(/"webgpu": \d+/, '"webgpu": 64000000000');
    browser = await launch({ webgpu: true });
    server = await serve({
      root,
      answerFirst: (request, response, headers) => {
        if (request.url !== '/huge.json') return false;
        response.writeHead(200, { ...headers, 'Content-Type': 'application/json' }).end(huge);
        return true;
      },
    });
    expected = (await judged(browser, server.url, { build: 'simd' })).assessment;
    assert.equal(expected.rating, 'Unsafe');
  });

  after(async () => {
    await browser.close();
    await server.close();
  });

  test('judges as the CPU does', async () => {
    const story = await judged(browser, server.url, { build: 'webgpu' });
    assert.equal(story.build, 'webgpu');
    assert.match(story.device, /^gpu \(.*swiftshader/i);
    assert.deepEqual(story.stages, ['vision', 'prefill']);
    same(story.assessment, expected);
  });

  for (const { title, keys, numbers, whole, reason } of [
    {
      title: 'the self-test of the model',
      keys: ['llavaguard.self_test.exact', 'llavaguard.self_test.rounded'],
      // The sums of the first stage, behind its tolerance.
      numbers: [1, 17],
      whole: 0,
      reason: /self-test.*"tower"/,
    },
    {
      title: 'the golden image of the model',
      keys: ['llavaguard.golden.probabilities'],
      // That of Unsafe.
      numbers: [0, 1],
      whole: 1,
      reason:
        /golden image comes to Unsafe, O6, P\(Unsafe\) 0\.8\d+, where Unsafe, O6, P\(Unsafe\) 0\.1\d+ is right/,
    },
  ]) {
    test(`is not used where the GPU fails ${title}, and says so`, async () => {
      const page = await browser.newPage();
      page.setDefaultTimeout(600_000);
      await page.goto(`${server.url}sdk/test/blank.html`);
      const { build, told, verdict } = await page.evaluate(
        async ({ model, base64, keys, numbers: [first = 0, end = 0], whole }) => {
          const path = '/sdk/dist/index.js';
          const { LlavaGuard } = /** @type {Package} */ (await import(path));
          const bytes = new Uint8Array(await (await fetch(model)).arrayBuffer());
          // To the GPU it is the same whether it computes something else or something else is expected.
          const header = new TextDecoder('latin1').decode(bytes.subarray(0, 1 << 20));
          const view = new DataView(bytes.buffer);
          for (const key of keys) {
            // Behind the key come the value's type, its numbers' type and how many there are.
            const at = header.indexOf(key) + key.length + 4 + 12;
            for (let number = first; number < end; number++) {
              const value = view.getFloat32(at + 4 * number, true);
              view.setFloat32(at + 4 * number, whole - value, true);
            }
          }
          /** @type {import('llavaguard').Progress[]} */
          const told = [];
          const guard = await LlavaGuard.load({
            model: new Blob([bytes]),
            build: 'webgpu',
            onProgress: (progress) => void told.push(progress),
          });
          const { build } = guard;
          const photo = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
          const options = { rationale: false, detail: /** @type {const} */ ('low') };
          const verdict = await guard.assess(new Blob([photo]), options);
          guard.dispose();
          return { build, told, verdict };
        },
        { model: MODEL, base64: photo(PHOTO).toString('base64'), keys, numbers, whole },
      );
      await page.close();
      assert.equal(build, 'relaxed');
      const fallback = told.find(({ stage }) => stage === 'fallback');
      assert.match(fallback && 'reason' in fallback ? fallback.reason : '', reason);
      assert.equal(fallback && 'code' in fallback && fallback.code, 'device.wrong_result');
      assert.ok(!told.some(({ stage }) => stage === 'retry'));
      same(verdict, expected);
    });
  }

  test('leaves a model that does not fit the GPU to the CPU before it is fetched', async () => {
    const page = await browser.newPage();
    page.setDefaultTimeout(600_000);
    await page.goto(`${server.url}sdk/test/blank.html`);
    const found = await page.evaluate(async (model) => {
      const path = '/sdk/dist/index.js';
      const { LlavaGuard } = /** @type {Package} */ (await import(path));
      const probe = await LlavaGuard.probe('/huge.json', { build: 'webgpu' });
      /** @type {import('llavaguard').Progress[]} */
      const told = [];
      const guard = await LlavaGuard.load({
        model: { manifest: '/huge.json', files: [model] },
        build: 'webgpu',
        onProgress: (progress) => void told.push(progress),
      });
      const { build } = guard;
      guard.dispose();
      return { probe, build, told };
    }, MODEL);
    await page.close();
    const { probe, build, told } = found;
    assert.equal(build, 'relaxed');
    const stages = told.map(({ stage }) => stage);
    assert.ok(stages.indexOf('fallback') >= 0, stages.join());
    assert.ok(stages.indexOf('fallback') < stages.indexOf('download'), stages.join());
    const fallback = told.find(({ stage }) => stage === 'fallback');
    assert.match(fallback && 'reason' in fallback ? fallback.reason : '', /64000 MB/);
    assert.equal(fallback && 'code' in fallback && fallback.code, 'device.too_small');
    assert.equal(probe.device, 'cpu');
    assert.equal(probe.canRun, true);
    assert.equal(probe.reasons[0]?.code, 'device.too_small');
  });

  test('is not chosen by itself where the GPU is software', async () => {
    const page = await browser.newPage();
    await page.goto(`${server.url}sdk/test/blank.html`);
    const found = await page.evaluate(async (model) => {
      const path = '/sdk/dist/index.js';
      const sdk = /** @type {Package} */ (await import(path));
      const adapter = await sdk.gpuAdapter();
      const guard = await sdk.LlavaGuard.load({ model });
      const { build } = guard;
      guard.dispose();
      return { adapter, build };
    }, MODEL);
    await page.close();
    assert.equal(found.adapter?.software, true);
    assert.equal(found.build, 'relaxed');
  });

  test('takes a new device where one is destroyed in the middle of an assessment', async () => {
    const story = await judged(browser, server.url, { build: 'webgpu', destroyed: 'first' });
    assert.ok(story.stages.includes('retry'), story.stages.join());
    assert.ok(!story.stages.includes('fallback'), story.stages.join());
    assert.equal(story.build, 'webgpu');
    same(story.assessment, expected);
  });

  test('goes on with the CPU where every device is destroyed, and says so', async () => {
    const story = await judged(browser, server.url, { build: 'webgpu', destroyed: 'every' });
    assert.equal(story.before, 'webgpu');
    assert.ok(story.stages.includes('retry') && story.stages.includes('fallback'));
    assert.equal(story.build, 'relaxed');
    assert.match(story.device, /^cpu/);
    same(story.assessment, expected);
  });

  test('keeps a session whose device is lost', async () => {
    const story = await judged(browser, server.url, {
      build: 'webgpu',
      destroyed: 'first',
      session: true,
    });
    assert.ok(story.stages.includes('retry'), story.stages.join());
    same(story.assessment, expected);
  });

  test('judges on the page', async () => {
    const demo = await serve();
    const page = await openDemo(browser, `${demo.url}?build=webgpu`);
    page.setDefaultTimeout(600_000);
    assert.equal(await page.locator('#model-status').getAttribute('data-build'), 'webgpu');
    const result = await outcome(page, async () => {
      const buffer = photo(PHOTO);
      const file = { name: PHOTO, mimeType: 'image/jpeg', buffer };
      await page.locator('#photo-input').setInputFiles(file);
    });
    assert.ok('assessment' in result, JSON.stringify(result));
    assert.equal(result.assessment.rating, 'Unsafe');
    await page.context().close();
    await demo.close();
  });

  test('that is left for the CPU is told on the page in its language, the details in English', async () => {
    const manifest = `${fileURLToPath(new URL('../../www/demo/dist', import.meta.url))}/model/manifest.json`;
    const huge = readFileSync(manifest, 'utf8').replace(/"webgpu": \d+/, '"webgpu": 64000000000');
    const demo = await serve({
      answerFirst: (request, response, headers) => {
        if (request.url !== '/model/manifest.json') return false;
        response.writeHead(200, { ...headers, 'Content-Type': 'application/json' }).end(huge);
        return true;
      },
    });
    const page = await openDemo(browser, `${demo.url}?build=webgpu#models`, { locale: 'de' });
    const status = page.locator('#model-status');
    assert.equal(await status.getAttribute('data-build'), 'relaxed');
    assert.match(
      await status.innerText(),
      /Die GPU ist für dieses Modell zu klein; die CPU hat übernommen\.$/,
    );
    const setback = page.locator('#device-setbacks [data-code="device.too_small"]');
    assert.match(await setback.locator('[lang="en"]').innerText(), /64000 MB/);
    await page.context().close();
    await demo.close();
  });

  test('that is lost in the middle of a verdict is told on the page, and the CPU goes on', async () => {
    const demo = await serve();
    const context = await browser.newContext({ serviceWorkers: 'block' });
    // Every device of the worker is destroyed as soon as it computes a verdict.
    await context.route(/\/assets\/main-[\w-]+\.js$/, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, body: `${DESTROYER}\n${await response.text()}` });
    });
    const page = await context.newPage();
    page.setDefaultTimeout(600_000);
    await page.goto(`${demo.url}?build=webgpu`);
    await page.locator('#model-status[data-build="webgpu"]').waitFor();
    await page.evaluate(() => {
      const channel = new BroadcastChannel('destroy');
      /** @type {string[]} */
      const said = [];
      Object.assign(globalThis, { said });
      new MutationObserver(() => {
        const text = document.getElementById('result-status')?.textContent ?? '';
        if (said.at(-1) !== text) said.push(text);
        if (text.startsWith('Looking')) channel.postMessage('now');
      }).observe(document.body, { childList: true, subtree: true, characterData: true });
    });
    const result = await outcome(page, () =>
      page
        .locator('#photo-input')
        .setInputFiles({ name: PHOTO, mimeType: 'image/jpeg', buffer: photo(PHOTO) }),
    );
    assert.ok('assessment' in result, JSON.stringify(result));
    assert.equal(result.assessment.rating, 'Unsafe');
    const said = /** @type {string[]} */ (await page.evaluate('said'));
    assert.ok(said.includes('The GPU failed. Trying it once more…'), said.join('\n'));
    assert.ok(said.includes('The GPU failed twice; the CPU has taken over.'), said.join('\n'));
    const status = await page.locator('#model-status[data-build="relaxed"]').innerText();
    assert.match(status, /The GPU failed twice; the CPU has taken over\.$/);
    await context.close();
    await demo.close();
  });
});

describe('a crash of the GPU process', () => {
  test('in the middle of an assessment leaves a right one, on whichever device', async () => {
    const browser = await launch({ webgpu: true });
    const server = await serve({ root: fileURLToPath(new URL('../../www', import.meta.url)) });
    const expected = (await judged(browser, server.url, { build: 'simd' })).assessment;
    const session = await browser.newBrowserCDPSession();
    const story = await judged(browser, server.url, {
      build: 'webgpu',
      onVision: async () => {
        // The answer may never come: what it asks for is the end of a process.
        await session.send('Browser.crashGpuProcess').catch(() => undefined);
      },
    });
    assert.ok(story.stages.includes('retry'), story.stages.join());
    assert.equal(story.build !== 'webgpu', story.stages.includes('fallback'));
    same(story.assessment, expected);
    await browser.close();
    await server.close();
  });
});
