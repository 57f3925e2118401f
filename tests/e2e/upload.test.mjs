import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { launch, serve } from './browser.mjs';
import { photo } from './materials.mjs';

/** @typedef {import('./browser.mjs').Page} Page */
/** @typedef {typeof import('llavaguard')} Package */
/** @typedef {typeof import('../../www/sdk/dist/upload/index.js')} Upload */
/** @typedef {{ upload: Upload, guard: import('llavaguard').LlavaGuard, submitted: number, changes: number, appeals: string[], loaded: () => void }} State */

const MODEL = '/demo/dist/model/llavaguard-demo-q8_0.gguf';
const file = (/** @type {string} */ name) => ({
  name: `${name}.jpg`,
  mimeType: 'image/jpeg',
  buffer: photo(`${name}.jpg`),
});
const [SAFE, PISTOL, OTHER] = [
  file('groceries-bananas'),
  file('firearm-pistol'),
  file('clothing-shirt'),
];
const TEXT = { name: 'notes.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('no picture') };

describe('the upload guard', () => {
  /** @type {import('./browser.mjs').Browser} */
  let browser;
  /** @type {Awaited<ReturnType<typeof serve>>} */
  let server;
  /** @type {Page} */
  let page;
  /** @type {string[]} */
  const complaints = [];

  before(async () => {
    browser = await launch();
    server = await serve({ root: fileURLToPath(new URL('../../www', import.meta.url)) });
    page = await browser.newPage();
    page.setDefaultTimeout(30_000);
    page.on('console', (message) => {
      if (/Content Security Policy|Refused/.test(message.text())) complaints.push(message.text());
    });
    await page.goto(`${server.url}sdk/test/blank.html`);
    await page.evaluate(async (model) => {
      const urls = ['/sdk/dist/index.js', '/sdk/dist/upload/index.js'];
      const sdk = /** @type {Package} */ (await import(urls[0] ?? ''));
      const upload = /** @type {Upload} */ (await import(urls[1] ?? ''));
      const guard = await sdk.LlavaGuard.load({ model });
      upload.defineUploadElement();
      Object.assign(globalThis, { upload, guard });
    }, MODEL);
  });

  after(async () => {
    await browser.close();
    await server.close();
  });

  /**
   * A fresh form with a guarded input; with `loading`, its guard is there when `loaded` is called.
   * @param {{ novalidate?: boolean, appeal?: boolean, loading?: boolean }} [options]
   */
  async function input({ novalidate = false, appeal = false, loading = false } = {}) {
    await page.evaluate(
      ({ novalidate, appeal, loading }) => {
        const state = /** @type {State} */ (/** @type {unknown} */ (globalThis));
        document.body.innerHTML =
          '<form><label>Photos <input type="file" name="photos" multiple></label><button>Send</button></form>';
        const form = /** @type {HTMLFormElement} */ (document.querySelector('form'));
        form.noValidate = novalidate;
        state.submitted = 0;
        state.appeals = [];
        form.addEventListener('submit', (event) => {
          event.preventDefault();
          state.submitted++;
        });
        const input = /** @type {HTMLInputElement} */ (document.querySelector('input'));
        const promise = /** @type {Promise<State['guard']>} */ (
          new Promise((resolve) => {
            state.loaded = () => resolve(state.guard);
          })
        );
        if (!loading) state.loaded();
        state.upload.guardFileInput(input, promise, {
          detail: 'low',
          ...(appeal
            ? {
                onAppeal: ({ file }) => {
                  state.appeals.push(file.name);
                  return true;
                },
              }
            : {}),
        });
      },
      { novalidate, appeal, loading },
    );
    return page.locator('input[type=file]');
  }

  const rows = () => page.locator('.file');
  const status = (/** @type {string} */ name) => page.locator(`.file[data-status="${name}"]`);
  const submitted = () =>
    page.evaluate(() => /** @type {State} */ (/** @type {unknown} */ (globalThis)).submitted);
  const names = () =>
    page.evaluate(() =>
      [...new FormData(/** @type {HTMLFormElement} */ (document.querySelector('form')))].map(
        ([, value]) => (typeof value === 'string' ? value : value.name),
      ),
    );

  test('holds a form until every file has its verdict, and explains what is blocked', async () => {
    const field = await input({ loading: true });
    await field.setInputFiles([SAFE, PISTOL]);
    // Nothing has a verdict yet.
    assert.notEqual(
      await field.evaluate((/** @type {HTMLInputElement} */ one) => one.validationMessage),
      '',
    );
    assert.deepEqual(await names(), []);
    await page.getByRole('button', { name: 'Send' }).click();
    assert.equal(await submitted(), 0);
    assert.match(await page.getByRole('status').innerText(), /Still checking 2 files/);
    await page.evaluate(() => /** @type {State} */ (/** @type {unknown} */ (globalThis)).loaded());
    await status('blocked').waitFor();
    await status('allowed').waitFor();
    await page.getByRole('button', { name: 'Send' }).click();
    assert.equal(await submitted(), 0);
    assert.match(await status('blocked').innerText(), /Not allowed here[^]*O6/);
    assert.match(await page.getByRole('status').innerText(), /1 file not allowed here/);
    await page.getByRole('button', { name: 'Remove firearm-pistol.jpg' }).click();
    assert.equal(await rows().count(), 1);
    assert.equal(
      await field.evaluate((/** @type {HTMLInputElement} */ one) => one.files?.length),
      1,
    );
    assert.match(await page.getByRole('status').innerText(), /1 file checked/);
    // The focus goes to what is left.
    assert.equal(
      await page.evaluate(() => {
        const host = document.activeElement;
        return host?.shadowRoot?.activeElement?.ariaLabel;
      }),
      'Remove groceries-bananas.jpg',
    );
    await page.getByRole('button', { name: 'Send' }).click();
    assert.equal(await submitted(), 1);
    assert.deepEqual(await names(), ['groceries-bananas.jpg']);
  });

  test('is no weaker where validation is passed by', async () => {
    const field = await input({ novalidate: true });
    await field.setInputFiles([SAFE, PISTOL, TEXT]);
    await status('blocked').waitFor();
    await status('undecided').waitFor();
    await status('allowed').waitFor();
    await page.getByRole('button', { name: 'Send' }).click();
    assert.equal(await submitted(), 0);
    assert.deepEqual(await names(), ['groceries-bananas.jpg']);
    assert.match(await status('undecided').innerText(), /It will not be sent.*looks like text/s);
    // A script that exchanges the files under the guard's hands.
    const after = await field.evaluate((/** @type {HTMLInputElement} */ one) => {
      const data = new DataTransfer();
      data.items.add(new File(['other'], 'other.jpg'));
      one.files = data.files;
      const form = /** @type {HTMLFormElement} */ (one.form);
      const sent = [...new FormData(form)].length;
      form.requestSubmit();
      return sent;
    });
    assert.equal(after, 0);
    assert.equal(await submitted(), 0);
    await page.evaluate(() => document.querySelector('form')?.reset());
    await rows().first().waitFor({ state: 'detached' });
    assert.equal(
      await field.evaluate((/** @type {HTMLInputElement} */ one) => one.validationMessage),
      '',
    );
  });

  test('lets the site decide on appeals', async () => {
    const field = await input({ appeal: true });
    await field.setInputFiles([PISTOL]);
    await page.getByRole('button', { name: 'Ask for a review of firearm-pistol.jpg' }).click();
    await status('allowed').waitFor();
    assert.match(await rows().innerText(), /Allowed after a review/);
    const state = await page.evaluate(
      () => /** @type {State} */ (/** @type {unknown} */ (globalThis)).appeals,
    );
    assert.deepEqual(state, ['firearm-pistol.jpg']);
    assert.deepEqual(await names(), ['firearm-pistol.jpg']);
  });

  test('an element is a form field that holds allowed files alone', async () => {
    await page.evaluate(() => {
      const state = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      document.body.innerHTML =
        '<form><llavaguard-upload name="photos" multiple required></llavaguard-upload><button>Send</button></form>';
      state.submitted = 0;
      state.changes = 0;
      const form = /** @type {HTMLFormElement} */ (document.querySelector('form'));
      form.addEventListener('submit', (event) => {
        event.preventDefault();
        state.submitted++;
      });
      form.addEventListener('change', () => state.changes++);
    });
    const element = page.locator('llavaguard-upload');
    const send = page.getByRole('button', { name: 'Send' });
    await send.click();
    assert.equal(await submitted(), 0);
    // Without a guard files wait.
    await page.getByLabel('Choose pictures').setInputFiles([SAFE, PISTOL]);
    await status('waiting').first().waitFor();
    await send.click();
    assert.equal(await submitted(), 0);
    await element.evaluate((one) => {
      const { guard } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      Object.assign(one, { options: { detail: 'low', rationale: false }, guard });
    });
    await status('blocked').waitFor();
    await status('allowed').waitFor();
    assert.deepEqual(await names(), ['groceries-bananas.jpg']);
    await send.click();
    assert.equal(await submitted(), 0);
    await page.getByRole('button', { name: 'Remove firearm-pistol.jpg' }).click();
    await page.getByLabel('Choose pictures').setInputFiles([OTHER]);
    await status('allowed').nth(1).waitFor();
    assert.deepEqual(await names(), ['groceries-bananas.jpg', 'clothing-shirt.jpg']);
    await send.click();
    assert.equal(await submitted(), 1);
    const changes = await page.evaluate(
      () => /** @type {State} */ (/** @type {unknown} */ (globalThis)).changes,
    );
    assert.ok(changes >= 6, `${changes} changes`);
  });

  test('speaks German, keeps its focus, takes drops, and can be disabled and reset', async () => {
    await page.evaluate(() => {
      const { upload, guard } = /** @type {State} */ (/** @type {unknown} */ (globalThis));
      document.body.innerHTML =
        '<form><llavaguard-upload name="photo"></llavaguard-upload><button>Senden</button></form>';
      const element = document.querySelector('llavaguard-upload');
      Object.assign(element ?? {}, { guard, strings: upload.GERMAN });
    });
    await page.keyboard.press('Tab');
    const focused = await page.evaluate(() => document.activeElement?.localName);
    assert.equal(focused, 'llavaguard-upload');
    const drop = await page.evaluateHandle(() => {
      const data = new DataTransfer();
      data.items.add(new File(['x'], 'eins.jpg'));
      data.items.add(new File(['y'], 'zwei.jpg'));
      return data;
    });
    await page.locator('.drop').dispatchEvent('drop', { dataTransfer: drop });
    await status('undecided').waitFor();
    // Without `multiple` it takes one.
    assert.equal(await rows().count(), 1);
    assert.match(await rows().innerText(), /eins\.jpg[^]*Konnte nicht geprüft werden/);
    await page.getByRole('button', { name: 'Erneut versuchen: eins.jpg' }).click();
    await status('undecided').waitFor();
    await page.evaluate(() => document.querySelector('form')?.reset());
    await rows().first().waitFor({ state: 'detached' });
    const disabled = await page.evaluate(() => {
      const element = document.querySelector('llavaguard-upload');
      element?.toggleAttribute('disabled', true);
      return element?.shadowRoot?.querySelector('input')?.disabled;
    });
    assert.equal(disabled, true);
  });

  test('asks nothing of the content security policy', () => {
    assert.deepEqual(complaints, []);
  });
});
