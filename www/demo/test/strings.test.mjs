import assert from 'node:assert/strict';
import { test } from 'node:test';

import { de } from '../../node_modules/.cache/tsc/demo/strings/de.js';
import { en } from '../../node_modules/.cache/tsc/demo/strings/en.js';

/**
 * Every text with the way to it.
 * @param {unknown} texts
 * @param {string} [path]
 * @returns {[string, unknown][]}
 */
function leaves(texts, path = '') {
  if (typeof texts !== 'object' || texts === null) return [[path, texts]];
  return Object.entries(texts).flatMap(([key, value]) => leaves(value, `${path}.${key}`));
}

/** Texts that are rightly the same: names, units, signs, and words both languages have. */
const SAME =
  /^\.(verdict\.facts|policy\.(presets|name)|models\.device\.builds|audit\.(spans|keys\.list\.\d+\.0|exports\.csv|pause)|units|engine\.(rate|amountOnly)|picture\.(named|levels\.auto))\b/;

test('German has every text that English has, and no other', () => {
  const [english, german] = [leaves(en), leaves(de)];
  assert.deepEqual(german.map(([path]) => path).sort(), english.map(([path]) => path).sort());
  assert.ok(english.length > 300);
});

test('every text is of the same kind, says something, and is translated', () => {
  const german = new Map(leaves(de));
  for (const [path, text] of leaves(en)) {
    const other = german.get(path);
    assert.equal(typeof other, typeof text, path);
    assert.ok(String(other).trim() !== '', path);
    if (typeof text === 'string' && !SAME.test(path)) assert.notEqual(other, text, path);
  }
});

test('a sentence uses what it is given', () => {
  const german = new Map(leaves(de));
  for (const [path, text] of leaves(en)) {
    if (typeof text !== 'function') continue;
    const given = Array.from({ length: text.length }, (_, at) => `<${at}>`);
    const used = (/** @type {unknown} */ sentence) => {
      const said = String(/** @type {Function} */ (sentence)(...given));
      return given.filter((one) => said.toLowerCase().includes(one));
    };
    assert.deepEqual(used(german.get(path)), used(text), path);
  }
});
