import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { launch, serve } from './browser.mjs';
import { photo } from './materials.mjs';

/** @typedef {import('./browser.mjs').Page} Page */
/** @typedef {typeof import('llavaguard')} Package */
/** @typedef {import('llavaguard').LlavaGuard} LlavaGuard */

/**
 * What the tests keep in the page between calls.
 * @typedef {{ sdk: Package, guard: LlavaGuard, photo: Blob, progress: unknown[] }} State
 */

const MODEL = '/demo/dist/model/llavaguard-demo-q8_0.gguf';

/**
 * A bare page with the package as it is shipped, a loaded guard and a photo.
 * @param {import('./browser.mjs').Browser} browser
 * @param {string} url
 */
async function openPackage(browser, url) {
  const page = await browser.newPage();
  await page.goto(`${url}sdk/test/blank.html`);
  await page.evaluate(
    async ([model, base64]) => {
      const url = '/sdk/dist/index.js';
      const sdk = /** @type {Package} */ (await import(url));
      /** @type {unknown[]} */
      const progress = [];
      const guard = await sdk.LlavaGuard.load({
        model: model ?? '',
        onProgress: (step) => progress.push(step),
      });
      const bytes = Uint8Array.from(atob(base64 ?? ''), (char) => char.charCodeAt(0));
      Object.assign(globalThis, { sdk, guard, progress, photo: new Blob([bytes]) });
    },
    [MODEL, photo('firearm-pistol.jpg').toString('base64')],
  );
  return page;
}

/** @typedef {Awaited<ReturnType<LlavaGuard['assess']>>} Assessment */

describe('the package', () => {
  /** @type {import('./browser.mjs').Browser} */
  let browser;
  /** @type {Awaited<ReturnType<typeof serve>>[]} */
  let servers;
  /** @type {{ isolated: Page, plain: Page }} */
  let pages;

  before(async () => {
    const root = fileURLToPath(new URL('../../www', import.meta.url));
    browser = await launch();
    servers = await Promise.all([serve({ root }), serve({ root, isolated: false })]);
    const [isolated, plain] = servers;
    if (!isolated || !plain) throw new Error('no servers');
    pages = {
      isolated: await openPackage(browser, isolated.url),
      plain: await openPackage(browser, plain.url),
    };
  });

  after(async () => {
    await browser.close();
    await Promise.all(servers.map((server) => server.close()));
  });

  test('takes threads where the page is isolated, and the one-thread build elsewhere', async () => {
    const describeGuard = () => {
      const { guard, progress } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      const stages = /** @type {{ stage: string }[]} */ (progress).map(({ stage }) => stage);
      return { build: guard.build, threads: guard.threads, stages: [...new Set(stages)] };
    };
    const isolated = await pages.isolated.evaluate(describeGuard);
    assert.equal(isolated.build, 'relaxed');
    assert.ok(isolated.threads >= 1);
    assert.deepEqual(isolated.stages, ['download', 'load']);
    const plain = await pages.plain.evaluate(describeGuard);
    assert.deepEqual([plain.build, plain.threads], ['relaxed-single', 1]);
  });

  test('leaves no globals in the page, and asks for no gesture of the user', async () => {
    const page = await browser.newPage();
    await page.goto(`${servers[0]?.url}sdk/test/blank.html`);
    // By the browser's debugger, whose evaluations count as gestures unless told otherwise.
    const session = await page.context().newCDPSession(page);
    const { result } = await session.send('Runtime.evaluate', {
      awaitPromise: true,
      returnByValue: true,
      userGesture: false,
      expression: `(async () => {
        const before = Object.getOwnPropertyNames(globalThis);
        const { LlavaGuard } = await import('/sdk/dist/index.js');
        await import('/sdk/dist/upload/index.js');
        const guard = await LlavaGuard.load({ model: '${MODEL}' });
        const image = new ImageData(64, 64);
        const { rating } = await guard.assess(image, { detail: 'low', rationale: false });
        guard.dispose();
        const added = Object.getOwnPropertyNames(globalThis).filter((name) => !before.includes(name));
        return { rating, added, gesture: navigator.userActivation.hasBeenActive };
      })()`,
    });
    const { rating, ...others } = result.value;
    assert.match(rating, /^(Safe|Unsafe)$/);
    assert.deepEqual(others, { added: [], gesture: false });
    await page.close();
  });

  test('both builds give the same assessment', async () => {
    const assess = async () => {
      const { guard, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      return guard.assess(photo, { detail: 'high' });
    };
    const [isolated, plain] = await Promise.all([
      pages.isolated.evaluate(assess),
      pages.plain.evaluate(assess),
    ]);
    // Relaxed SIMD rounds a multiplication and addition once, plain SIMD twice.
    const close = (/** @type {number} */ a, /** @type {number} */ b) => Math.abs(a - b) < 1e-2;
    assert.ok(close(isolated.unsafe_probability, plain.unsafe_probability));
    for (const [at, category] of isolated.category_probabilities.entries()) {
      assert.ok(close(category.probability, plain.category_probabilities[at]?.probability ?? 2));
    }
    assert.deepEqual(exact(isolated), exact(plain));
  });

  test('a session gives what a fresh call gives, to the last bit', async () => {
    const [fresh, first, second] = await pages.isolated.evaluate(async () => {
      const { guard, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      /** @type {import('llavaguard').PolicyDocument} */
      const policy = { categories: { O6: 'non_violating' } };
      const session = await guard.session(photo);
      const first = await session.judge();
      const second = await session.judge({ policy });
      await session.close();
      const closed = await session.judge().catch((/** @type {unknown} */ error) => error);
      if (/** @type {{ code?: string }} */ (closed).code !== 'session.closed') throw closed;
      return [await guard.assess(photo, { policy }), first, second];
    });
    assert.notEqual(first?.policy_id, second?.policy_id);
    assert.notEqual(first?.unsafe_probability, second?.unsafe_probability);
    assert.deepEqual(withoutTimings(second), withoutTimings(fresh));
  });

  test('verdict and rationale come before the result and agree with it', async () => {
    const { verdict, text, result, bare } = await pages.plain.evaluate(async () => {
      const { guard, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      /** @type {import('llavaguard').Verdict[]} */
      const verdicts = [];
      let text = '';
      const result = await guard.assess(photo, {
        detail: 'low',
        onVerdict: (verdict) => verdicts.push(verdict),
        onToken: (token) => {
          if (verdicts.length !== 1) throw new Error('a token before the verdict');
          text += token;
        },
      });
      const bare = await guard.assess(photo, { detail: 'low', rationale: false });
      return { verdict: verdicts[0], text, result, bare };
    });
    assert.equal(text, result.rationale);
    assert.ok(text.length > 0);
    const { rating, category, unsafe_probability } = result;
    assert.deepEqual(verdict, { rating, category, unsafe_probability });
    assert.equal(bare.rationale, null);
    assert.equal(bare.unsafe_probability, unsafe_probability);
  });

  test('bare pixels and bytes are taken too, errors are typed', async () => {
    const found = await pages.plain.evaluate(async () => {
      const { guard, photo, sdk } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      const options = /** @type {const} */ ({ detail: 'low', rationale: false });
      const byFile = await guard.assess(photo, options);
      const byBytes = await guard.assess(await photo.arrayBuffer(), options);
      const bitmap = await createImageBitmap(photo);
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
      const context = canvas.getContext('2d');
      if (!context) throw new Error('no canvas');
      context.drawImage(bitmap, 0, 0);
      const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height);
      const byPixels = await guard.assess(pixels, options);
      const caught = [];
      for (const bad of [
        () => guard.assess(new Uint8Array([1, 2, 3])),
        () => guard.assess(photo, { policy: '{"categorys": {}}' }),
        () => guard.assess(photo, { rationale: { maxTokens: 0 } }),
        () => guard.validatePolicy({ categories: { O99: 'non_violating' } }),
      ]) {
        const error = await bad().catch((/** @type {unknown} */ thrown) => thrown);
        caught.push(error instanceof sdk.LlavaGuardError ? error.code : String(error));
      }
      return { byFile, byBytes, byPixels, caught, prompt: await guard.promptText() };
    });
    assert.deepEqual(withoutTimings(found.byBytes), withoutTimings(found.byFile));
    assert.equal(found.byPixels.rating, found.byFile.rating);
    assert.deepEqual(found.caught, [
      'image.unsupported_format',
      'policy.unknown_key',
      'engine.bad_option',
      'policy.unknown_category',
    ]);
    assert.match(found.prompt, /O9: Disasters or Emergencies/);
  });

  for (const kind of /** @type {const} */ (['isolated', 'plain'])) {
    test(`an abort stops the ${kind} engine within a layer's work`, async () => {
      const { name, waited, after } = await pages[kind].evaluate(async () => {
        const { guard, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
        const abort = new AbortController();
        let started = 0;
        const open = guard.assess(photo, {
          detail: 'high',
          signal: abort.signal,
          onProgress: () => {
            started ||= performance.now();
            abort.abort();
          },
        });
        const error = await open.catch((/** @type {unknown} */ thrown) => thrown);
        // The next answer comes when the worker is free again: long before a whole assessment.
        await guard.promptText();
        const waited = performance.now() - started;
        const after = await guard.assess(photo, { detail: 'high', rationale: false });
        return { name: /** @type {Error} */ (error).name, waited, after };
      });
      assert.equal(name, 'AbortError');
      assert.ok(waited < after.timings_ms.total / 2, `${waited} ms to stop`);
    });
  }

  test('a build that does not start gives way to the next, and says so', async () => {
    const found = await pages.isolated.evaluate(async (model) => {
      const { sdk, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      /** @type {unknown[]} */
      const fallbacks = [];
      let workers = 0;
      const guard = await sdk.LlavaGuard.load({
        model,
        onProgress: (step) => {
          if (step.stage === 'fallback') fallbacks.push(step.build);
        },
        createWorker: () =>
          new Worker(workers++ === 0 ? '/no/such/script.js' : '/sdk/dist/worker/main.js', {
            type: 'module',
          }),
      });
      const { detail } = await guard.assess(photo, { detail: 'low', rationale: false });
      guard.dispose();
      return { build: guard.build, fallbacks, tiles: detail.tiles };
    }, MODEL);
    assert.deepEqual(found, { build: 'relaxed-single', fallbacks: ['relaxed'], tiles: 1 });
  });

  test('an engine without work takes no processor time', async () => {
    await pages.isolated.evaluate(async () => {
      const { guard, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      await guard.assess(photo, { detail: 'low', rationale: false });
    });
    const session = await browser.newBrowserCDPSession();
    const renderers = async () => {
      const { processInfo } = await session.send('SystemInfo.getProcessInfo');
      const own = processInfo.filter(({ type }) => type === 'renderer');
      return own.reduce((total, { cpuTime }) => total + cpuTime, 0);
    };
    await new Promise((resolve) => setTimeout(resolve, 500));
    const before = await renderers();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const taken = (await renderers()) - before;
    await session.detach();
    assert.ok(taken < 0.15, `${taken} s of 1.5 s`);
  });

  test('threads are as many as asked for, give the same assessment, and end with the engine', async () => {
    const page = pages.isolated;
    const workers = async () => page.workers().length;
    const before = await workers();
    const [expected, found] = await page.evaluate(async (model) => {
      const { sdk, guard, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      const three = await sdk.LlavaGuard.load({ model, threads: 3 });
      Object.assign(globalThis, { three });
      return [await guard.assess(photo), await three.assess(photo)];
    }, MODEL);
    assert.deepEqual(withoutTimings(found), withoutTimings(expected));
    assert.equal(await workers(), before + 3);
    await page.evaluate(() => {
      /** @type {{ three: LlavaGuard }} */ (/** @type {unknown} */ (globalThis)).three.dispose();
    });
    const deadline = Date.now() + 10_000;
    while ((await workers()) > before && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(await workers(), before);
  });

  for (const kind of /** @type {const} */ (['isolated', 'plain'])) {
    test(`further images take no further memory of the ${kind} page`, async () => {
      // The package's own worker, which tells how large its module's memory is.
      await pages[kind].route('**/memory.js', (route) =>
        route.fulfill({
          contentType: 'text/javascript',
          headers: { 'Cross-Origin-Embedder-Policy': 'require-corp' },
          body: `import '/sdk/dist/worker/main.js';
            const { instantiate } = WebAssembly;
            const channel = new BroadcastChannel('memory');
            WebAssembly.instantiate = async (...args) => {
              const result = await instantiate.apply(WebAssembly, args);
              const { memory } = (result.instance ?? result).exports;
              channel.onmessage = () => channel.postMessage(memory.buffer.byteLength);
              return result;
            };`,
        }),
      );
      const [loaded = 0, first = 0, second = 0, ...others] = await pages[kind].evaluate(
        async (model) => {
          const { sdk, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
          const guard = await sdk.LlavaGuard.load({
            model,
            createWorker: () => new Worker('/memory.js', { type: 'module' }),
          });
          const channel = new BroadcastChannel('memory');
          const memory = () =>
            /** @type {Promise<number>} */ (
              new Promise((resolve) => {
                channel.onmessage = ({ data }) => resolve(data);
                channel.postMessage('');
              })
            );
          const bitmap = await createImageBitmap(photo);
          const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
          if (!context) throw new Error('no canvas');
          const sizes = [await memory()];
          for (const amount of [0, 1, 0.5, 0.2, 0.8, 0.4]) {
            context.filter = `invert(${amount})`;
            context.drawImage(bitmap, 0, 0);
            const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height);
            await guard.assess(pixels, { detail: 'high', rationale: { maxTokens: 4 } });
            sizes.push(await memory());
          }
          guard.dispose();
          return sizes;
        },
        MODEL,
      );
      assert.ok(first - loaded > 8 << 20, 'the first image takes some');
      // The rest of the engine, whose memory may fall a little differently.
      assert.ok(second - first <= 1 << 20, `${second - first} bytes more`);
      // Threads ask for their bits in another order each time, which may cost a page or two of 64 KiB.
      const most = Math.max(...others) - second;
      assert.ok(others.length === 4 && most <= 2 << 16, `${most} bytes more for four others`);
    });
  }

  test('a model that cannot be fetched is a typed error', async () => {
    const code = await pages.plain.evaluate(async () => {
      const { sdk } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      const load = sdk.LlavaGuard.load({ model: '/no/such/model.gguf' });
      return load.then(
        () => 'loaded',
        (/** @type {{ code: string }} */ error) => error.code,
      );
    });
    assert.equal(code, 'model.fetch_failed');
  });

  test('a trap in the worker rejects what is open and what comes later', async () => {
    // The package's own worker, which traps where it is asked for the fourth time.
    await pages.plain.route('**/trap.js', (route) =>
      route.fulfill({
        contentType: 'text/javascript',
        body: `import '/sdk/dist/worker/main.js';
          const { onmessage } = self;
          let asked = 0;
          self.onmessage = (event) => {
            if (++asked < 4) onmessage.call(self, event);
            else queueMicrotask(() => { throw new WebAssembly.RuntimeError('unreachable'); });
          };`,
      }),
    );
    const codes = await pages.plain.evaluate(async (model) => {
      const { sdk, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      const guard = await sdk.LlavaGuard.load({
        model,
        createWorker: () => new Worker('/trap.js', { type: 'module' }),
      });
      const calls = [guard.assess(photo), guard.promptText()];
      const settled = await Promise.allSettled(calls);
      settled.push(...(await Promise.allSettled([guard.promptText()])));
      return settled.map((one) =>
        one.status === 'rejected' ? /** @type {{ code: string }} */ (one.reason).code : 'done',
      );
    }, MODEL);
    assert.deepEqual(codes, Array(3).fill('engine.crashed'));
  });

  test('dispose ends the worker and rejects what is open', async () => {
    const codes = await pages.isolated.evaluate(async () => {
      const { guard, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      const open = [guard.assess(photo), guard.session(photo), guard.promptText()];
      guard.dispose();
      const late = guard.assess(photo);
      const settled = await Promise.allSettled([...open, late]);
      return settled.map((one) =>
        one.status === 'rejected' ? /** @type {{ code: string }} */ (one.reason).code : 'done',
      );
    });
    assert.deepEqual(codes, Array(4).fill('guard.disposed'));
  });
});

/** @param {Assessment | undefined} assessment */
function withoutTimings(assessment) {
  assert.ok(assessment);
  const { timings_ms: _, ...rest } = assessment;
  return rest;
}

/**
 * What must not depend on rounding.
 * @param {Assessment} assessment
 */
function exact(assessment) {
  const { unsafe_probability: _, category_probabilities, ...rest } = withoutTimings(assessment);
  return { ...rest, categories: category_probabilities.map(({ id }) => id) };
}
