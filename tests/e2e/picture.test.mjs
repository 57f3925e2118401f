import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';

import { outcome } from './browser.mjs';
import { photo, pngHeader } from './materials.mjs';
import { assessed, choose, drop, judge, PISTOL, shownError, transfer, withPage } from './page.mjs';

const HEIC = readFileSync(new URL('fixtures/firearm-pistol.heic', import.meta.url));
const BANANAS = 'groceries-bananas.jpg';

describe('bringing a picture', () => {
  const given = withPage({
    args: [
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
      '--auto-select-desktop-capture-source=Entire screen',
    ],
    // The browser says so where a server does not allow the page to read its answer.
    allowed: /CORS policy|ERR_FAILED|status of 404/,
  });
  /** @type {import('node:http').Server} */
  let other;
  let otherUrl = '';
  /** @type {import('node:http').IncomingHttpHeaders[]} */
  const asked = [];

  before(async () => {
    other = createServer((request, response) => {
      asked.push(request.headers);
      const { pathname } = new URL(request.url ?? '', 'http://localhost');
      const cors = { 'Access-Control-Allow-Origin': '*' };
      if (pathname === '/closed.jpg') {
        response.writeHead(200, { 'Content-Type': 'image/jpeg' }).end(photo(BANANAS));
      } else if (pathname === '/page') {
        response.writeHead(200, { ...cors, 'Content-Type': 'text/html' }).end('<p>A page.</p>');
      } else if (pathname === '/bananas%20here.jpg') {
        response.writeHead(200, { ...cors, 'Content-Type': 'image/jpeg' }).end(photo(BANANAS));
      } else {
        response.writeHead(404, cors).end();
      }
    });
    await new Promise((resolve) => other.listen(0, '127.0.0.1', () => resolve(undefined)));
    const address = other.address();
    if (typeof address === 'object' && address) otherUrl = `http://127.0.0.1:${address.port}`;
  });

  after(() => {
    other.close();
    other.closeAllConnections();
  });

  test('by dropping it anywhere', async () => {
    const found = await assessed(given.page, () => drop(given.page, PISTOL, photo(PISTOL)));
    assert.equal(found.rating, 'Unsafe');
    assert.match(
      await given.page.locator('#photo-name').innerText(),
      /^firearm-pistol\.jpg, 5 kB$/,
    );
  });

  test('by choosing it, the same file twice too', async () => {
    for (let time = 0; time < 2; time++) {
      assert.equal((await judge(given.page, BANANAS)).rating, 'Safe');
    }
  });

  test('by pasting it', async () => {
    const { page } = given;
    const clipboardData = await transfer(page, 'pasted.jpg', photo(PISTOL));
    const found = await assessed(page, () =>
      clipboardData.evaluate((clipboardData) =>
        document.dispatchEvent(new ClipboardEvent('paste', { clipboardData })),
      ),
    );
    assert.equal(found.rating, 'Unsafe');
    assert.match(await page.locator('#photo-name').innerText(), /pasted\.jpg/);
  });

  test('from the samples, which say where they are from', async () => {
    const { page } = given;
    const samples = page.locator('.samples').getByRole('button');
    assert.equal(await samples.count(), 6);
    const found = await assessed(page, () => page.getByRole('button', { name: 'bananas' }).click());
    assert.equal(found.rating, 'Safe');
    await page.getByText('Where these are from').click();
    assert.match(await page.locator('.credits').innerText(), /CC BY 4\.0/);
  });

  test('from an address: the request is counted, and carries nothing along', async () => {
    const { page } = given;
    const count = page.locator('#request-count');
    await count.and(page.locator('[data-count="0"]')).waitFor();
    const found = await assessed(page, async () => {
      await page.getByRole('button', { name: 'Address…' }).click();
      await page.getByLabel('Address of the photo').fill(`${otherUrl}/bananas%20here.jpg`);
      await page.keyboard.press('Enter');
    });
    assert.equal(found.rating, 'Safe');
    assert.match(await page.locator('#photo-name').innerText(), /^bananas here\.jpg/);
    await count.and(page.locator('[data-count="1"]')).waitFor();
    assert.equal(asked.length, 1);
    assert.equal(asked[0]?.referer, undefined);
    assert.equal(asked[0]?.cookie, undefined);
  });

  for (const [what, path, code, says] of /** @type {[string, string, string, RegExp][]} */ ([
    ['whose server does not allow it', '/closed.jpg', 'page.not_allowed', /CORS/],
    ['of nothing', '/gone.jpg', 'page.not_there', /404/],
    ['of a page', '/page', 'page.no_picture', /text\/html/],
  ])) {
    test(`an address ${what} gets an error with a next step`, async () => {
      const { page } = given;
      await page.getByRole('button', { name: 'Address…' }).click();
      await page.getByLabel('Address of the photo').fill(`${otherUrl}${path}`);
      await page.getByRole('button', { name: 'Fetch' }).click();
      const error = await shownError(page, '#address-error');
      assert.equal(error.code, code);
      assert.match(error.text, says);
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
      // Whoever closes the dialog goes on where it was opened.
      assert.equal(await page.evaluate('document.activeElement.id'), 'from-address');
    });
  }

  test('an address that is none, or not https, is not even asked for', async () => {
    const { page } = given;
    await page.getByRole('button', { name: 'Address…' }).click();
    for (const address of ['http://', 'http://example.org/a.jpg', 'javascript:alert(1)']) {
      await page.getByLabel('Address of the photo').fill(address);
      await page.getByRole('button', { name: 'Fetch' }).click();
      assert.equal((await shownError(page, '#address-error')).code, 'page.bad_address');
    }
    await page.keyboard.press('Escape');
  });

  test('by the camera, which is off afterwards', async () => {
    const { page } = given;
    await page.evaluate(() => {
      const { mediaDevices } = navigator;
      const original = mediaDevices.getUserMedia.bind(mediaDevices);
      mediaDevices.getUserMedia = async (constraints) => {
        const stream = await original(constraints);
        Object.assign(globalThis, { lastStream: stream });
        return stream;
      };
    });
    await page.getByRole('button', { name: 'Camera…' }).click();
    const found = await assessed(page, () =>
      page.getByRole('button', { name: 'Take the photo' }).click(),
    );
    assert.ok(found.detail.tiles >= 1);
    assert.match(await page.locator('#photo-name').innerText(), /^camera\.png/);
    const states = () =>
      page.evaluate('lastStream.getTracks().map((track) => track.readyState).join()');
    assert.equal(await states(), 'ended');
    // Cancelled: off as well.
    await page.getByRole('button', { name: 'Camera…' }).click();
    await page.locator('#capture:enabled').waitFor();
    assert.equal(await states(), 'live');
    await page.getByRole('button', { name: 'Cancel' }).click();
    assert.equal(await states(), 'ended');
  });

  test('a camera that is denied, or not there, gets an error with a next step', async () => {
    const { page } = given;
    for (const [name, code] of [
      ['NotAllowedError', 'page.camera_denied'],
      ['NotFoundError', 'page.camera_none'],
      ['NotReadableError', 'page.camera_busy'],
    ]) {
      await page.evaluate((name) => {
        navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', name));
      }, name);
      await page.getByRole('button', { name: 'Camera…' }).click();
      assert.equal((await shownError(page, '#camera-error')).code, code);
      await page.getByRole('button', { name: 'Cancel' }).click();
    }
  });

  test('one frame of a screen, whose sharing ends at once', async () => {
    const { page } = given;
    await page.evaluate(() => {
      const { mediaDevices } = navigator;
      const original = mediaDevices.getDisplayMedia.bind(mediaDevices);
      mediaDevices.getDisplayMedia = async (options) => {
        const stream = await original(options);
        Object.assign(globalThis, { lastStream: stream });
        return stream;
      };
    });
    const found = await assessed(page, () =>
      page.getByRole('button', { name: 'Screen or tab…' }).click(),
    );
    assert.ok(found.detail.tiles >= 1);
    assert.match(await page.locator('#photo-name').innerText(), /^screen\.png/);
    assert.equal(
      await page.evaluate('lastStream.getTracks().map((track) => track.readyState).join()'),
      'ended',
    );
    await page.evaluate(() => {
      navigator.mediaDevices.getDisplayMedia = () =>
        Promise.reject(new DOMException('', 'NotAllowedError'));
    });
    await page.getByRole('button', { name: 'Screen or tab…' }).click();
    assert.equal((await shownError(page, '#source-error')).code, 'page.screen_denied');
  });

  for (const [what, name, bytes, code] of /** @type {[string, string, Buffer, string][]} */ ([
    ['a truncated JPEG', 'cut.jpg', photo(PISTOL).subarray(0, 2500), 'image.truncated'],
    ['a PNG of 60,000 x 60,000', 'huge.png', pngHeader(60_000, 60_000), 'image.too_large'],
    ['text', 'text.jpg', Buffer.from('Not a photo.\n'), 'image.unsupported_format'],
    ['a HEIC, which this browser does not read', 'photo.heic', HEIC, 'image.unsupported_format'],
    ['an empty file', 'empty.jpg', Buffer.alloc(0), 'image.empty'],
  ])) {
    test(`${what} gets its own error and no verdict`, async () => {
      const { page } = given;
      const found = await outcome(page, () => choose(page, '#photo-input', name, bytes));
      assert.ok('error' in found, JSON.stringify(found));
      assert.equal(found.error.code, code);
      assert.match(found.error.message, /^[A-Z].*\.$/s);
      assert.equal(await page.locator('#verdict').count(), 0);
      assert.doesNotMatch(await page.locator('#result').innerText(), /\bsafe\b/i);
    });
  }
});

describe('bringing a picture of a tab', () => {
  const TITLE = 'The tab to be judged';
  const given = withPage({
    // The fake dialog for cameras and screens knows no tabs; this stands in for it.
    args: [`--auto-select-tab-capture-source-by-title=${TITLE}`],
  });

  test('takes one frame of the tab that was chosen, and its sharing ends at once', async () => {
    const { page } = given;
    const shared = await page.context().newPage();
    const picture = photo(PISTOL).toString('base64');
    await shared.setContent(
      `<title>${TITLE}</title>
      <body style="margin: 0; background: #0000ff">
      <img src="data:image/jpeg;base64,${picture}" style="position: fixed; inset: 20vh 20vw; width: 60vw; height: 60vh; object-fit: contain">`,
    );
    await page.bringToFront();
    await page.evaluate(() => {
      const { mediaDevices } = navigator;
      const original = mediaDevices.getDisplayMedia.bind(mediaDevices);
      mediaDevices.getDisplayMedia = async (options) => {
        const stream = await original(options);
        const [track] = stream.getVideoTracks();
        Object.assign(globalThis, { lastStream: stream, surface: track?.getSettings() });
        return stream;
      };
    });
    const found = await assessed(page, () =>
      page.getByRole('button', { name: 'Screen or tab…' }).click(),
    );
    assert.ok(found.detail.tiles >= 1);
    assert.match(await page.locator('#photo-name').innerText(), /^screen\.png/);
    assert.equal(await page.evaluate('surface.displaySurface'), 'browser');
    assert.equal(
      await page.evaluate('lastStream.getTracks().map((track) => track.readyState).join()'),
      'ended',
    );
    // It is the other tab that is seen: blue at its edge.
    const corner = await page.locator('#preview').evaluate(async (/** @type {any} */ image) => {
      const bitmap = await createImageBitmap(image);
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
      context?.drawImage(bitmap, 0, 0);
      return [...(context?.getImageData(4, bitmap.height >> 1, 1, 1).data ?? [])];
    });
    const [red = 255, green = 255, blue = 0] = corner;
    assert.ok(red < 30 && green < 30 && blue > 225, corner.join());
  });
});
