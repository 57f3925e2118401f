import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { violations } from './axe.mjs';
import { launch, serve } from './browser.mjs';
import { photo } from './materials.mjs';
import { installPackage, run, TOOLS } from './package-projects.mjs';

/** @typedef {import('./browser.mjs').Page} Page */

const TYPESCRIPT = fileURLToPath(new URL('../../www/node_modules/.bin/tsc', import.meta.url));

describe('the packed package', () => {
  /** @type {import('./browser.mjs').Browser} */
  let browser;
  /** @type {Awaited<ReturnType<typeof installPackage>>} */
  let installed;

  before(async () => {
    [browser, installed] = await Promise.all([launch(), installPackage()]);
  });

  after(async () => {
    await browser.close();
    installed.remove();
  });

  /**
   * Opens a folder's page; `complaints` gathers what the browser's console says of policies and errors.
   * @param {string} root
   * @param {{ isolated?: boolean }} [options]
   */
  async function open(root, { isolated = true } = {}) {
    const server = await serve({ root, isolated });
    const page = await browser.newPage();
    page.setDefaultTimeout(30_000);
    /** @type {string[]} */
    const complaints = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      const text = message.text();
      if (message.type() === 'error' && !text.includes('404')) complaints.push(text);
    });
    await page.goto(server.url);
    return {
      page,
      complaints,
      close: async () => {
        await page.close();
        await server.close();
      },
    };
  }

  for (const [name, site] of /** @type {const} */ ([
    ['plain', ''],
    ['vite', 'dist'],
    ['webpack', 'dist'],
    ['esbuild', 'dist'],
  ])) {
    test(`works with ${name}, with threads and without`, async () => {
      const folder = await installed.build(`tests/projects/${name}`);
      const root = join(folder, site);
      writeFileSync(join(root, 'photo.jpg'), photo('firearm-pistol.jpg'));
      for (const isolated of [true, false]) {
        const { page, complaints, close } = await open(root, { isolated });
        const output = page.locator('output[data-done]');
        const result = JSON.parse((await output.textContent()) ?? '');
        const build = isolated ? 'relaxed' : 'relaxed-single';
        assert.deepEqual(result, { rating: 'Unsafe', category: 'O6', build });
        assert.deepEqual(complaints, []);
        await close();
      }
    });
  }

  test("works with Vite's development server", async () => {
    const folder = await installed.build('tests/projects/vite');
    writeFileSync(join(folder, 'photo.jpg'), photo('firearm-pistol.jpg'));
    const { createServer } = await import(
      pathToFileURL(join(TOOLS, 'vite/dist/node/index.js')).href
    );
    const server = await createServer({
      root: folder,
      logLevel: 'error',
      server: {
        host: '127.0.0.1',
        port: 0,
        // The packages lie beside the project here, not in it.
        fs: { allow: [installed.folder] },
        headers: {
          'Cross-Origin-Opener-Policy': 'same-origin',
          'Cross-Origin-Embedder-Policy': 'require-corp',
        },
      },
    });
    await server.listen();
    const page = await browser.newPage();
    page.setDefaultTimeout(30_000);
    await page.goto(`http://127.0.0.1:${server.httpServer.address().port}/`);
    const result = await page.locator('output[data-done]').textContent();
    assert.deepEqual(JSON.parse(result ?? ''), {
      rating: 'Unsafe',
      category: 'O6',
      build: 'relaxed',
    });
    await page.close();
    await server.close();
  });

  /** @param {string} name */
  const file = (name) => ({ name, mimeType: 'image/jpeg', buffer: photo(name) });
  const [SAFE, PISTOL] = [file('groceries-bananas.jpg'), file('firearm-pistol.jpg')];

  test('example: forms without a framework', async () => {
    const folder = await installed.build('www/examples/plain');
    const { page, complaints, close } = await open(join(folder, 'dist'));
    const listing = page.locator('#listing');
    assert.deepEqual(await violations(page), []);
    await listing.locator('input[name=title]').fill('Bananas');
    await page.getByLabel('Choose pictures').setInputFiles([SAFE, PISTOL]);
    await listing.getByText('Not allowed here', { exact: true }).waitFor();
    await listing.getByText('May be sent').waitFor();
    await page.getByRole('button', { name: 'Publish' }).click();
    assert.equal(await listing.locator('output').innerText(), '');
    await page.getByRole('button', { name: 'Ask for a review' }).click();
    await listing.getByText('A review did not change that.').waitFor();
    assert.deepEqual(await violations(page), []);
    await page.getByRole('button', { name: 'Remove firearm' }).click();
    await page.getByRole('button', { name: 'Publish' }).click();
    assert.equal(
      await listing.locator('output').innerText(),
      'Sent title: Bananas, photos: groceries-bananas.jpg',
    );
    const profile = page.locator('#profile');
    await profile.locator('input').setInputFiles([PISTOL]);
    await profile.getByText('Hier nicht erlaubt', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Speichern' }).click();
    assert.equal(await profile.locator('output').innerText(), '');
    assert.deepEqual(await violations(page), []);
    assert.deepEqual(complaints, []);
    await close();
  });

  test('example: React', async () => {
    const folder = await installed.build('www/examples/react');
    const { page, complaints, close } = await open(join(folder, 'dist'));
    await page.getByLabel('Choose pictures').setInputFiles([SAFE, PISTOL]);
    await page.getByText('Not allowed here', { exact: true }).waitFor();
    await page.getByText('1 of 2 may be sent').waitFor();
    assert.deepEqual(await violations(page), []);
    await page.getByRole('button', { name: 'Send' }).click();
    assert.equal(await page.locator('output').count(), 0);
    await page.getByLabel('This is a museum of weapons').check();
    await page.getByText('2 of 2 may be sent').waitFor();
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    assert.equal(
      await page.locator('output').innerText(),
      'Sent groceries-bananas.jpg, firearm-pistol.jpg',
    );
    assert.deepEqual(await violations(page), []);
    assert.deepEqual(complaints, []);
    await close();
  });

  test('example: a generator', async () => {
    const names = ['groceries-bananas.jpg', 'firearm-pistol.jpg', 'clothing-shirt.jpg'];
    const folder = await installed.build('www/examples/generator', (folder) => {
      const pictures = join(folder, 'public/pictures');
      mkdirSync(pictures);
      for (const name of names) writeFileSync(join(pictures, name), photo(name));
      writeFileSync(join(pictures, 'broken.jpg'), photo(names[0] ?? '').subarray(0, 2000));
      writeFileSync(join(pictures, 'index.json'), JSON.stringify([...names, 'broken.jpg']));
    });
    const { page, complaints, close } = await open(join(folder, 'dist'));
    assert.deepEqual(await violations(page), []);
    await page.getByRole('button', { name: 'Generate' }).click();
    await page.getByText('4 pictures, 2 withheld.').waitFor();
    assert.equal(await page.getByRole('img', { name: 'A generated picture' }).count(), 2);
    const withheld = await page.locator('.withheld').allInnerTexts();
    assert.match(withheld.join('\n'), /O6: Weapons[^]*cut short/);
    assert.deepEqual(await violations(page), []);
    assert.deepEqual(complaints, []);
    await close();
  });

  test('has types that a strict project compiles with', async () => {
    writeFileSync(
      join(installed.folder, 'strict.mts'),
      `import { LlavaGuard, LlavaGuardError, type Assessment } from 'llavaguard';
      import { demoModel } from 'llavaguard-demo-model';
      import { defineUploadElement, guardedFetch, guardFileInput } from 'llavaguard/upload';
      export async function use(files: File[], input: HTMLInputElement): Promise<Assessment[]> {
        const guard = await LlavaGuard.load({ model: demoModel });
        const found: Assessment[] = [];
        for await (const result of guard.assessMany(files, { detail: 'low' })) {
          if (result.status === 'judged') found.push(result.assessment);
          else if (result.error instanceof LlavaGuardError) console.warn(result.image.name);
        }
        for await (const event of guard.stream(input.value)) {
          if (event.type === 'done') found.push(event.assessment);
        }
        defineUploadElement();
        const element = document.querySelector('llavaguard-upload');
        if (element) element.guard = guard;
        guardFileInput(input, guard, { undecided: 'block' });
        await guardedFetch(guard)('/x', { method: 'POST', body: new FormData() });
        return found;
      }`,
    );
    const strict = '--noEmit --strict --exactOptionalPropertyTypes --target ES2022';
    const lib = '--lib ES2022,DOM,DOM.Iterable,DOM.AsyncIterable';
    for (const how of [
      '--module NodeNext --moduleResolution NodeNext',
      '--module ESNext --moduleResolution Bundler',
    ]) {
      const options = `${strict} ${lib} ${how} strict.mts`.split(' ');
      await run(TYPESCRIPT, options, { cwd: installed.folder }).catch((/** @type {any} */ error) =>
        assert.fail(error.stdout),
      );
    }
  });

  test('can be published', async () => {
    const tool = (/** @type {string} */ path) => import(pathToFileURL(join(TOOLS, path)).href);
    const { publint } = await tool('publint/src/index-node.js');
    const { checkPackage, createPackageFromTarballData } = await tool(
      '@arethetypeswrong/core/dist/index.js',
    );
    for (const path of installed.tarballs) {
      const bytes = readFileSync(path);
      const tarball = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
      const { messages } = await publint({ pack: { tarball }, strict: true });
      assert.deepEqual(messages, []);
      const types = await checkPackage(createPackageFromTarballData(new Uint8Array(bytes)), {
        excludeEntrypoints: [/\.(gguf|json|wasm)$/],
      });
      const problems = types.types ? types.problems : ['no types'];
      assert.deepEqual(
        problems.filter((/** @type {unknown} */ problem) => !known(problem)),
        [],
      );
    }
  });
});

/**
 * That modules cannot be required from CommonJS is so on purpose.
 * @param {any} problem
 */
function known({ kind, resolutionKind }) {
  return kind === 'CJSResolvesToESM' || resolutionKind === 'node10';
}
