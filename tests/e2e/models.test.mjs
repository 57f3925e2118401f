import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { rangeOf } from '../../www/demo/scripts/serve.mjs';
import { openDemo, serve } from './browser.mjs';
import { demoModel, photo, withWrongShape } from './materials.mjs';
import { assessed, choose, drop, goTo, judge, PISTOL, shownError, withPage } from './page.mjs';

describe('models', () => {
  const given = withPage();

  test('the view says what is in use, what it runs on and why', async () => {
    const { page } = given;
    await goTo(page, 'Models');
    assert.match(await page.locator('#model-card').innerText(), /llavaguard-demo@[0-9a-f]+/);
    assert.match(await page.locator('#model-source').innerText(), /Every byte was verified/);
    assert.match(await page.locator('#device-why').innerText(), /relaxed SIMD .* threads/);
    const gpu = page.getByRole('radio', { name: /GPU/ });
    assert.ok(await gpu.isDisabled());
  });

  test('another build takes the model over, and the verdict is the same', async () => {
    const { page } = given;
    await page.getByRole('radio', { name: /one thread, plain/ }).click();
    const status = page.locator('#model-status');
    await status.and(page.locator('[data-state="ready"][data-build="simd"]')).waitFor();
    assert.match(await page.locator('#device-why').innerText(), /Chosen by you/);
    await goTo(page, 'Judge');
    assert.equal((await judge(page)).rating, 'Unsafe');
    await goTo(page, 'Models');
    await page.getByRole('radio', { name: /Automatic/ }).click();
    await status.and(page.locator('[data-state="ready"][data-build="relaxed"]')).waitFor();
  });

  test('the benchmark gives a time for a photo, tokens a second, and products a second', async () => {
    const { page } = given;
    await page.getByRole('button', { name: 'Measure' }).click();
    const results = page.locator('#benchmark-results');
    await results.waitFor();
    const text = await results.innerText();
    assert.match(text, /Build\s+relaxed/);
    assert.match(text, /Photo to verdict\s+[\d.,]+ (ms|s)/);
    assert.match(text, /Reading the prompt\s+[\d,]+ tokens\/s/);
    assert.match(text, /Products\s+[\d.,]+ billion a second/);
  });

  test('a model is probed by its manifest before it is fetched', async () => {
    const { page } = given;
    await page.getByLabel(/^Address of a manifest/).fill('model/manifest.json');
    await page.getByRole('button', { name: 'Check' }).click();
    const probe = page.locator('#probe');
    await probe.waitFor();
    const text = await probe.innerText();
    assert.match(text, /It will run here/);
    assert.match(text, /9\.0 MB, of which 9\.0 MB are here already/);
    assert.match(text, /A verdict at detail low\s+about/);
    await page.getByRole('button', { name: 'Use', exact: true }).click();
    await page.locator('#model-status[data-state="ready"]').waitFor();
    // A plain address is used as it comes, and said to be.
    await page.getByLabel(/^Address of a manifest/).fill('model/llavaguard-demo-q8_0.gguf');
    await page.getByRole('button', { name: 'Check' }).click();
    assert.match(await page.locator('#probe').innerText(), /cannot be verified/);
    await page.getByRole('button', { name: 'Download and use' }).click();
    await page.locator('#model-source').filter({ hasText: 'not verified' }).waitFor();
    await page.getByRole('button', { name: 'Use the demo model' }).click();
    await page.locator('#model-source').filter({ hasText: 'Every byte was verified' }).waitFor();
  });

  test('an address of nothing gets an error with a next step', async () => {
    const { page } = given;
    await page.getByLabel(/^Address of a manifest/).fill('ftp://example.org/manifest.json');
    await page.getByRole('button', { name: 'Check' }).click();
    assert.equal((await shownError(page, '#probe-error')).code, 'page.bad_address');
  });

  test('what is kept is listed with its size, and can be deleted', async () => {
    const { page } = given;
    const rows = page.locator('#stored-list li');
    await rows.filter({ hasText: /llavaguard-demo-q8_0\.gguf/ }).waitFor();
    assert.equal(await rows.count(), 2);
    await page.getByRole('button', { name: 'Delete llavaguard-demo-q8_0.gguf' }).click();
    await page.waitForFunction(() => document.querySelectorAll('#stored-list li').length === 1);
    assert.match(await page.locator('#stored-summary').innerText(), /Models take 9\.0 MB/);
    await page.getByRole('button', { name: 'Delete llavaguard-demo' }).click();
    await page.getByText('No model is kept.').waitFor();
    // The loaded model does not need it.
    await goTo(page, 'Judge');
    assert.equal((await judge(page)).rating, 'Unsafe');
  });

  for (const [what, make, code] of /** @type {[string, () => Buffer, string][]} */ ([
    ['cut in half', () => half(demoModel()), 'model.truncated'],
    ['with a wrong shape', () => withWrongShape('blk.0.ffn_up.weight'), 'model.wrong_shape'],
    ['that is none', () => Buffer.from('Not a model at all.'), 'model.not_gguf'],
  ])) {
    test(`a model file ${what} gets its own error; the loaded model stays in use`, async () => {
      const { page } = given;
      await goTo(page, 'Models');
      await choose(page, '#model-input', 'model.gguf', make());
      assert.equal((await shownError(page, '#model-error')).code, code);
      await goTo(page, 'Judge');
      // Who has seen why in the view of the models is not told in another one again.
      assert.equal(await page.locator('#model-error').count(), 0);
      assert.equal((await judge(page)).rating, 'Unsafe');
    });
  }

  test('a model file of the user is loaded and used, chosen or dropped', async () => {
    const { page } = given;
    await goTo(page, 'Models');
    await choose(page, '#model-input', 'mine.gguf', demoModel());
    await page.locator('#model-source').filter({ hasText: 'Read from your file' }).waitFor();
    assert.equal(await page.locator('#model-error').count(), 0);
    await goTo(page, 'Judge');
    const again = await assessed(page, async () => {
      await drop(page, 'dropped.gguf', demoModel());
    });
    assert.equal(again.category.id, 'O6');
  });

  test('a model that is dropped and refused is told where one is, until that is dismissed', async () => {
    const { page } = given;
    await goTo(page, 'Judge');
    await drop(page, 'other.gguf', Buffer.from('Not a model at all.'));
    const error = await shownError(page, '#model-error > p');
    assert.match(error.text, /llavaguard convert/);
    // The one before stays in use.
    assert.equal(await page.locator('#model-status').getAttribute('data-state'), 'ready');
    await page.getByRole('button', { name: 'Dismiss' }).click();
    assert.equal(await page.locator('#model-error').count(), 0);
    assert.equal(await page.evaluate('document.activeElement.id'), 'content');
    await goTo(page, 'Models');
    assert.equal((await shownError(page, '#model-error')).code, 'model.not_gguf');
  });

  test('a model file that was used before and is gone is said to be', async () => {
    const page = await openDemo(given.browser, given.server.url);
    await page.evaluate(async () => {
      const root = await navigator.storage.getDirectory();
      const handle = await root.getFileHandle('gone.gguf', { create: true });
      await new Promise((resolve, reject) => {
        const opening = indexedDB.open('llavaguard-files', 1);
        opening.onupgradeneeded = () => opening.result.createObjectStore('llavaguard-files');
        opening.onerror = () => reject(opening.error ?? new Error('no database'));
        opening.onsuccess = () => {
          const transaction = opening.result.transaction('llavaguard-files', 'readwrite');
          transaction.objectStore('llavaguard-files').put(handle, 'model');
          transaction.oncomplete = () => {
            opening.result.close();
            resolve(undefined);
          };
        };
      });
      await root.removeEntry('gone.gguf');
    });
    await goTo(page, 'Models');
    const again = page.getByRole('button', { name: 'Use gone.gguf again' });
    await again.click();
    const error = await shownError(page, '#probe-error');
    assert.equal(error.code, 'page.file_gone');
    assert.match(error.text, /gone\.gguf/);
    // It is forgotten, and what runs is left alone.
    assert.equal(await again.count(), 0);
    assert.equal(await page.locator('#model-status').getAttribute('data-state'), 'ready');
    await page.context().close();
  });

  test('a download shows how far it is, can be stopped, and goes on where it was', async () => {
    const model = demoModel();
    let slow = true;
    const server = await serve({
      answerFirst: (request, response, headers) => {
        if (!slow || !request.url?.endsWith('.gguf')) return false;
        const [start, end] = rangeOf(request.headers, '', model.length) ?? [0, model.length];
        response.writeHead(206, {
          ...headers,
          'Content-Range': `bytes ${start}-${end - 1}/${model.length}`,
        });
        // Something comes, the rest never does.
        response.write(model.subarray(start, Math.min(start + 64_000, end)));
        return true;
      },
    });
    const context = await given.browser.newContext();
    const page = await context.newPage();
    await page.goto(server.url);
    const status = page.locator('#model-status');
    await status.filter({ hasText: /Fetching the model: .* of 9\.0 MB/ }).waitFor();
    assert.ok(await page.locator('#model-progress').isVisible());
    await choose(page, '#photo-input', PISTOL, photo(PISTOL));
    await page.locator('#result-status').filter({ hasText: 'Waiting for the model' }).waitFor();
    await page.getByRole('button', { name: 'Stop loading' }).click();
    await page.locator('#result-status').filter({ hasText: 'there is no model' }).waitFor();
    assert.equal(await page.locator('#verdict').count(), 0);
    slow = false;
    await page.getByRole('button', { name: 'Load the demo model' }).click();
    await page.locator('#result[data-state="done"]').waitFor();
    await context.close();
    await server.close();
  });

  test('an engine that crashed is said to have, and loaded again', async () => {
    const page = await openDemo(given.browser, given.server.url);
    await page.evaluate(() => {
      // As where the tab has run out of memory: the worker is gone with the next request.
      const original = Worker.prototype.postMessage;
      Worker.prototype.postMessage = function () {
        Worker.prototype.postMessage = original;
        this.dispatchEvent(new ErrorEvent('error', { message: 'out of memory' }));
      };
    });
    await choose(page, '#photo-input', PISTOL, photo(PISTOL));
    await page.locator('#model-error[data-code="engine.crashed"]').waitFor();
    await page.getByRole('button', { name: 'Load it again' }).click();
    await page.locator('#result[data-state="done"]').waitFor();
    assert.equal(await page.locator('#rating').innerText(), 'Unsafe');
    await page.context().close();
  });
});

/** @param {Buffer} bytes */
function half(bytes) {
  return bytes.subarray(0, bytes.length / 2);
}
