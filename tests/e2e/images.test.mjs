import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { launch, serve } from './browser.mjs';
import { photo } from './materials.mjs';

/** @typedef {import('./browser.mjs').Page} Page */
/** @typedef {typeof import('llavaguard')} Package */
/** @typedef {{ sdk: Package, guard: import('llavaguard').LlavaGuard, photo: Blob }} State */

const MODEL = '/demo/dist/model/llavaguard-demo-q8_0.gguf';
const PISTOL = '/photos/firearm-pistol.jpg';
const GOLDENS = new URL('../../crates/vision/tests/golden/', import.meta.url);
const AVIF = readFileSync(new URL('fixtures/firearm-pistol.avif', import.meta.url));
/** The same photo in the format of many phones, which Chromium does not read. */
const HEIC = readFileSync(new URL('fixtures/firearm-pistol.heic', import.meta.url));

/**
 * How far the browser's pixels may lie from Pillow's, where they are not the same: JPEG and lossy WebP
 * leave rounding open, a canvas stores colours multiplied by alpha, and 16 bits are rounded or cut to 8.
 */
const TOLERANCE = 3;

/**
 * What the browser shows in another way than Pillow, on purpose of either: colours under full
 * transparency do not exist in a canvas, CMYK has no one conversion to RGB.
 */
const SHOWN_DIFFERENTLY = /transparent|alpha|rgba|color4|color6|cmyk|ycck|32bit\.bmp/;

/**
 * Photos beside the package, as a site would have them. Without the content security policy pages may ask
 * other origins, so that those themselves refuse.
 */
async function serveWithPhotos({ policy = true } = {}) {
  const root = fileURLToPath(new URL('../../www', import.meta.url));
  return serve({
    root,
    isolated: false,
    answerFirst: (request, response, headers) => {
      if (!policy) delete headers['Content-Security-Policy'];
      const [, name, cors] = /^\/photos\/([\w-]+\.jpg)(\?cors)?$/.exec(request.url ?? '') ?? [];
      if (name === undefined) return false;
      const { 'Cross-Origin-Resource-Policy': _, ...open } = headers;
      response.writeHead(200, {
        ...open,
        'Content-Type': 'image/jpeg',
        ...(cors ? { 'Access-Control-Allow-Origin': '*' } : {}),
      });
      response.end(photo(name));
      return true;
    },
  });
}

/**
 * A bare page with the package, a loaded guard and a photo.
 * @param {import('./browser.mjs').Browser} browser
 * @param {string} url
 */
async function open(browser, url) {
  const page = await browser.newPage();
  await page.goto(`${url}sdk/test/blank.html`);
  await page.evaluate(
    async ([model = '', pistol = '']) => {
      const url = '/sdk/dist/index.js';
      const sdk = /** @type {Package} */ (await import(url));
      const guard = await sdk.LlavaGuard.load({ model });
      const photo = await (await fetch(pistol)).blob();
      Object.assign(globalThis, { sdk, guard, photo });
    },
    [MODEL, PISTOL],
  );
  return page;
}

describe('images', () => {
  /** @type {import('./browser.mjs').Browser} */
  let browser;
  /** @type {Awaited<ReturnType<typeof serve>>} */
  let server;
  /** @type {Awaited<ReturnType<typeof serve>>} */
  let foreign;
  /** @type {Page} */
  let page;

  before(async () => {
    browser = await launch();
    [server, foreign] = await Promise.all([serveWithPhotos(), serveWithPhotos()]);
    page = await open(browser, server.url);
  });

  after(async () => {
    await browser.close();
    await Promise.all([server.close(), foreign.close()]);
  });

  test("the browser's decoder gives Pillow's pixels, within rounding", async () => {
    /** @type {{ name: string, width: number, height: number, tolerance: number, rgb: string }[]} */
    const goldens = JSON.parse(readFileSync(new URL('decode.json', GOLDENS), 'utf8'));
    assert.ok(goldens.length >= 40);
    const found = await page.evaluate(
      async (files) => {
        const url = '/sdk/dist/worker/browser-decoder.js';
        /** @type {typeof import('../../www/sdk/dist/worker/browser-decoder.js')} */
        const { decodeByBrowser } = await import(url);
        return Promise.all(
          files.map(async (base64) => {
            const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
            const unread = { code: 'image.unsupported_format', message: '' };
            const { width, height, pixels } = await decodeByBrowser(bytes, 1e6, unread);
            return { width, height, pixels: [...pixels] };
          }),
        );
      },
      goldens.map(({ name }) => readFileSync(new URL(`images/${name}`, GOLDENS), 'base64')),
    );
    let compared = 0;
    for (const [at, golden] of goldens.entries()) {
      // Chromium does not turn a WebP by its EXIF, one more reason to let the engine decode first.
      if (golden.name === 'orientation-8.webp') continue;
      const { width, height, pixels } = found[at] ?? { width: 0, height: 0, pixels: [] };
      assert.deepEqual([width, height], [golden.width, golden.height], golden.name);
      if (SHOWN_DIFFERENTLY.test(golden.name)) continue;
      const rgb = pixels.filter((_, index) => index % 4 !== 3);
      const expected = Buffer.from(golden.rgb, 'hex');
      assert.equal(rgb.length, expected.length);
      const most = Math.max(...rgb.map((value, index) => Math.abs(value - (expected[index] ?? 0))));
      assert.ok(most <= TOLERANCE, `${golden.name}: ${most} of 255 apart`);
      compared++;
    }
    assert.ok(compared >= 30, `${compared} compared`);
  });

  test('both decoders lead to the same verdict on the sample photos', async () => {
    const folder = fileURLToPath(new URL('../photos', import.meta.url));
    const names = readdirSync(folder).filter((name) => name.endsWith('.jpg'));
    const pairs = await page.evaluate(async (names) => {
      const { guard } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      const options = /** @type {const} */ ({ detail: 'low', rationale: false });
      const pairs = [];
      for (const name of names) {
        const file = await (await fetch(`/photos/${name}`)).blob();
        const decoded = await createImageBitmap(file, { colorSpaceConversion: 'none' });
        pairs.push([await guard.assess(file, options), await guard.assess(decoded, options)]);
      }
      return pairs;
    }, names);
    for (const [at, [engine, browser]] of pairs.entries()) {
      assert.ok(engine && browser);
      assert.deepEqual(
        [browser.rating, browser.category.id],
        [engine.rating, engine.category.id],
        names[at],
      );
      const apart = Math.abs(browser.unsafe_probability - engine.unsafe_probability);
      assert.ok(apart < 0.02, `${names[at]}: ${apart}`);
    }
  });

  test('everything a page can hold a picture in is judged alike', async () => {
    const found = await page.evaluate(async (pistol) => {
      const { guard, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      const bytes = new Uint8Array(await photo.arrayBuffer());
      const bitmap = await createImageBitmap(photo);
      const { width, height } = bitmap;
      const canvas = Object.assign(document.createElement('canvas'), { width, height });
      const context = canvas.getContext('2d');
      const offscreen = new OffscreenCanvas(width, height);
      if (!context) throw new Error('no canvas');
      context.drawImage(bitmap, 0, 0);
      offscreen.getContext('2d')?.drawImage(bitmap, 0, 0);
      const loading = new Image();
      loading.src = pistol;
      const loaded = new Image();
      loaded.src = pistol;
      await loaded.decode();
      const frame = new VideoFrame(bitmap, { timestamp: 0 });
      const video = document.createElement('video');
      video.muted = true;
      video.srcObject = canvas.captureStream();
      void video.play();
      // A canvas gives a frame when it is drawn on.
      for (let tries = 0; video.readyState < 2 && tries < 200; tries++) {
        context.drawImage(bitmap, 0, 0);
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
      /** @type {Record<string, import('llavaguard').ImageInput>} */
      const inputs = {
        file: new File([photo], 'a.jpg'),
        buffer: bytes.buffer,
        bytes,
        address: pistol,
        url: new URL(pistol, location.href),
        data: `data:image/jpeg;base64,${btoa(String.fromCharCode(...bytes))}`,
        loading,
        loaded,
        canvas,
        offscreen,
        bitmap,
        frame,
        video,
        pixels: context.getImageData(0, 0, width, height),
      };
      /** @type {Record<string, number>} */
      const probabilities = {};
      for (const [name, input] of Object.entries(inputs)) {
        const judging = guard.assess(input, { detail: 'low', rationale: false });
        if (name === 'canvas') context.clearRect(0, 0, width, height);
        probabilities[name] = (await judging).unsafe_probability;
        if (name === 'canvas') context.drawImage(bitmap, 0, 0);
      }
      frame.close();
      // What was the caller's is still the caller's.
      const kept = bytes.length > 0 && bitmap.width > 0;
      const session = await guard.session(bitmap, { detail: 'low' });
      const { unsafe_probability } = await session.judge({ rationale: false });
      return { probabilities, kept, session: unsafe_probability };
    }, PISTOL);
    const { file = 0, video = 0, ...others } = found.probabilities;
    for (const name of ['buffer', 'bytes', 'address', 'url', 'data']) {
      assert.equal(others[name], file, name);
    }
    for (const [name, probability] of Object.entries(others)) {
      assert.ok(Math.abs(probability - file) < 0.02, `${name}: ${probability}, not ${file}`);
    }
    // A video's frames are in another colour format.
    assert.ok(Math.abs(video - file) < 0.1, `video: ${video}, not ${file}`);
    assert.equal(found.session, others['bitmap']);
    assert.ok(found.kept);
  });

  test('an AVIF is read by the browser, within the limits and only whole', async () => {
    const huge = Buffer.from(AVIF);
    huge.writeUInt32BE(65_000, huge.indexOf('ispe') + 8);
    const found = await page.evaluate(
      async (files) => {
        const { guard, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
        const options = /** @type {const} */ ({ detail: 'low', rationale: false });
        const results = [];
        for (const base64 of files) {
          const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
          results.push(
            await guard.assess(bytes, options).catch((/** @type {any} */ error) => ({
              code: String(error.code),
              message: String(error.message),
            })),
          );
        }
        return { results, jpeg: await guard.assess(photo, options) };
      },
      [
        AVIF,
        huge,
        AVIF.subarray(0, AVIF.length / 2),
        HEIC,
        Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
      ].map((file) => file.toString('base64')),
    );
    const [avif, tooLarge, half, heic, svg] = found.results;
    assert.ok(avif && 'rating' in avif, JSON.stringify(avif));
    assert.ok(Math.abs(avif.unsafe_probability - found.jpeg.unsafe_probability) < 0.05);
    assert.ok(avif.timings_ms.decode_image > 0);
    assert.deepEqual(
      [tooLarge, half, heic, svg].map((one) => one && 'code' in one && one.code),
      [
        'image.too_large',
        'image.unsupported_format',
        'image.unsupported_format',
        'image.unsupported_format',
      ],
    );
    assert.match(
      heic && 'message' in heic ? heic.message : '',
      /HEIC.*Save it as PNG, JPEG.*This browser does not read it either/,
    );
  });

  test('an address that gives no image is a typed error', async () => {
    const lax = await serveWithPhotos({ policy: false });
    const plain = await open(browser, lax.url);
    const { codes, allowed } = await plain.evaluate(
      async ([pistol = '', foreign = '']) => {
        const { guard } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
        const options = /** @type {const} */ ({ detail: 'low', rationale: false });
        const abort = new AbortController();
        const tainted = new Image();
        tainted.src = foreign + pistol;
        await tainted.decode();
        const broken = new Image();
        broken.src = '/no/such.jpg';
        const bad = {
          status: guard.assess('/no/such.jpg', options),
          page: guard.assess('/sdk/test/blank.html', options),
          cors: guard.assess(foreign + pistol, options),
          refused: guard.assess('http://127.0.0.1:1/a.jpg', options),
          tainted: guard.assess(tainted, options),
          broken: guard.assess(broken, options),
          aborted: guard.assess(pistol, { ...options, signal: abort.signal }),
        };
        abort.abort();
        /** @type {Record<string, string>} */
        const codes = {};
        for (const [name, call] of Object.entries(bad)) {
          codes[name] = await call.then(
            () => 'judged',
            (/** @type {any} */ error) => (error.name === 'AbortError' ? error.name : error.code),
          );
        }
        const allowed = await guard.assess(`${foreign}${pistol}?cors`, options);
        return { codes, allowed: allowed.rating };
      },
      [PISTOL, foreign.url.slice(0, -1)],
    );
    await lax.close();
    assert.deepEqual(codes, {
      status: 'image.http_status',
      page: 'image.unsupported_format',
      cors: 'image.fetch_failed',
      refused: 'image.fetch_failed',
      tainted: 'image.cross_origin',
      broken: 'image.unreadable',
      aborted: 'AbortError',
    });
    assert.match(allowed, /^(Safe|Unsafe)$/);
  });

  test('many images: one result each, whatever becomes of the others', async () => {
    const found = await page.evaluate(async (pistol) => {
      const { guard, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      const inputs = [photo, new Blob(['no image']), pistol, '/no/such.jpg', photo];
      /** @type {Set<number>} */
      const heard = new Set();
      /** @type {Record<number, string>} */
      const results = {};
      const options = /** @type {const} */ ({ detail: 'low', rationale: false });
      const onEvent = (/** @type {unknown} */ _, /** @type {number} */ index) => heard.add(index);
      for await (const result of guard.assessMany(inputs, { ...options, onEvent })) {
        if (result.image !== inputs[result.index]) throw new Error('another image');
        results[result.index] =
          result.status === 'judged'
            ? result.assessment.rating
            : /** @type {{ code: string }} */ (result.error).code;
      }
      return { results, heard: [...heard].sort() };
    }, PISTOL);
    assert.deepEqual(found.results, {
      0: 'Unsafe',
      1: 'image.unsupported_format',
      2: 'Unsafe',
      3: 'image.http_status',
      4: 'Unsafe',
    });
    assert.deepEqual(found.heard, [0, 2, 4]);
  });

  test('a call overtakes the many that wait, and an abort ends them', async () => {
    const found = await page.evaluate(async () => {
      const { guard, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      const options = /** @type {const} */ ({ detail: 'low', rationale: false });
      const abort = new AbortController();
      let pulled = 0;
      function* thousand() {
        for (; pulled < 1000; pulled++) yield photo;
      }
      /** @type {string[]} */
      const order = [];
      const all = (async () => {
        const many = guard.assessMany(thousand(), {
          ...options,
          concurrency: 8,
          signal: abort.signal,
        });
        for await (const { index } of many) {
          order.push(String(index));
          if (index === 0) {
            void guard.assess(photo, options).then(() => order.push('call'));
          }
          if (order.length === 12) abort.abort(new Error('enough'));
        }
      })();
      const error = await all.catch((/** @type {unknown} */ thrown) => thrown);
      const after = await guard.assess(photo, options);
      return { order, pulled, error: String(error), after: after.rating };
    });
    const at = found.order.indexOf('call');
    assert.ok(at >= 1 && at <= 3, found.order.join());
    assert.ok(found.pulled <= 24, `${found.pulled} taken`);
    assert.equal(found.error, 'Error: enough');
    assert.equal(found.after, 'Unsafe');
  });

  test('a stream tells all in order, and ends the work when it is left', async () => {
    const found = await page.evaluate(async () => {
      const { guard, photo } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      /** @type {string[]} */
      const types = [];
      let [text, pieces] = ['', 0];
      let result;
      for await (const event of guard.stream(photo, { detail: 'low' })) {
        if (types.at(-1) !== event.type) types.push(event.type);
        if (event.type === 'token') {
          text += event.text;
          pieces++;
        }
        if (event.type === 'done') result = event.assessment;
      }
      const session = await guard.session(photo, { detail: 'low' });
      let last;
      for await (last of session.stream({ rationale: false }));
      const left = guard.stream(photo, { detail: 'high' });
      await left.next();
      await left.return();
      const started = performance.now();
      await guard.promptText();
      const waited = performance.now() - started;
      const after = await guard.assess(photo, { detail: 'high', rationale: false });
      return { types, text, pieces, result, last, waited, full: after.timings_ms.total };
    });
    const steps = found.types.filter((type) => type !== 'progress');
    assert.equal(steps[0], 'verdict');
    assert.deepEqual([...new Set(steps)], ['verdict', 'token', 'done']);
    assert.equal(steps.at(-1), 'done');
    assert.equal(found.text, found.result?.rationale);
    // Piece by piece, not all at once. (The demo model's tokeniser has whole phrases.)
    assert.ok(found.pieces > 2, `${found.pieces} pieces`);
    assert.equal(found.last?.type, 'done');
    assert.ok(found.waited < found.full / 2, `${found.waited} ms to stop`);
  });
});
