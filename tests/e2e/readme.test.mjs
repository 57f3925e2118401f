import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { launch, serve } from './browser.mjs';
import { demoModel, photo } from './materials.mjs';

const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** The README's scripts for a page, with the package's own addresses, as a bundler would give them. */
function script() {
  const section = /## In a web page\n([^]*?)\n## /.exec(README)?.[1] ?? '';
  const blocks = [...section.matchAll(/```js\n([^]*?)```/g)].map(([, code]) => code ?? '');
  assert.equal(blocks.length, 2);
  // Which elements they are is the reader's own business.
  const names =
    "const [input, output] = ['input', 'output'].map((id) => document.getElementById(id));";
  return [names, ...blocks]
    .join('\n')
    .replaceAll("'llavaguard/upload'", "'/sdk/dist/upload/index.js'")
    .replaceAll("'llavaguard'", "'/sdk/dist/index.js'");
}

test('what the README tells a web developer works as it stands', async () => {
  /** @type {Record<string, [string, string | Buffer]>} */
  const files = {
    '/': [
      'text/html',
      '<!doctype html><form><input id="input" type="file"></form><p id="output"></p><script type="module" src="/readme.js"></script>',
    ],
    '/readme.js': ['text/javascript', script()],
    '/models/llavaguard-demo-q8_0.gguf': ['application/octet-stream', demoModel()],
  };
  const server = await serve({
    root: fileURLToPath(new URL('../../www', import.meta.url)),
    answerFirst: (request, response, headers) => {
      const [type, body] = files[request.url ?? ''] ?? [];
      if (type === undefined) return false;
      response.writeHead(200, { ...headers, 'Content-Type': type }).end(body);
      return true;
    },
  });
  const browser = await launch();
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(60_000);
    await page.goto(server.url);
    // The upload guard's list appears when the script has run.
    await page.locator('ul.files').waitFor({ state: 'attached' });
    const buffer = photo('firearm-pistol.jpg');
    await page
      .locator('#input')
      .setInputFiles({ name: 'pistol.jpg', mimeType: 'image/jpeg', buffer });
    await page.locator('#output', { hasText: /\w/ }).waitFor();
    assert.match(await page.locator('#output').innerText(), /^Safe, O6: Weapons[^:]*: \w/);
    await page.getByText('Not allowed here', { exact: true }).waitFor();
  } finally {
    await browser.close();
    await server.close();
  }
});
