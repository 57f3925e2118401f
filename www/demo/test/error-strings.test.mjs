import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { ERRORS_DE } from '../../node_modules/.cache/tsc/demo/strings/errors-de.js';

const ROOT = new URL('../../../', import.meta.url);
/** What the engine in a page is made of; of `model`, what only conversion uses is left out there. */
const SOURCES = /^(crates\/(backend|cpu|gpu|guard|model|policy|store|vision|web)|www\/sdk)\/src\//;
const NOT_IN_A_PAGE = /^crates\/model\/src\/(convert\/|gguf\/writer\.rs)/;

/** The words before the dot of a code. */
const SUBJECTS =
  'build|device|engine|guard|image|manifest|memory|model|policy|quant|session|speed|storage|store|upload';
const CODE = new RegExp(`["']((?:${SUBJECTS})\\.[a-z_]+)["']`, 'g');
/** Names of files and tensors that look like codes. */
const NO_CODES = ['manifest.json', 'model.image_newline', 'model.safetensors'];

/** Every code that the package's and the engine's sources give an error. */
function codes() {
  const found = new Set();
  for (const folder of ['crates/', 'www/sdk/']) {
    for (const path of readdirSync(new URL(folder, ROOT), { recursive: true })) {
      const name = folder + String(path);
      if (!/\.(rs|ts)$/.test(name) || !SOURCES.test(name) || NOT_IN_A_PAGE.test(name)) continue;
      for (const [, code] of readFileSync(new URL(name, ROOT), 'utf8').matchAll(CODE)) {
        found.add(code);
      }
    }
  }
  for (const name of NO_CODES) found.delete(name);
  return [...found].sort();
}

test('every code of the package has a German sentence, and no other has', () => {
  const found = codes();
  assert.ok(found.length > 80, `${found.length} codes`);
  assert.deepEqual(Object.keys(ERRORS_DE).sort(), found);
});

test('each is a sentence of its own', () => {
  const sentences = Object.values(ERRORS_DE);
  for (const sentence of sentences) assert.match(sentence, /^\p{Lu}.{15,}\.$/u);
  assert.equal(new Set(sentences).size, sentences.length);
});
