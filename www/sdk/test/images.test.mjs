import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { claimedSize } from '../dist/worker/browser-decoder.js';
import { dataUrlBytes } from '../dist/worker/data-url.js';
import { checkSize, MAX_PIXELS, MAX_SIDE } from '../dist/worker/image-limits.js';

const text = (/** @type {string} */ url) => Buffer.from(dataUrlBytes(url) ?? '').toString();

test('data addresses are read without fetching', () => {
  assert.equal(text('data:text/plain;base64,aGFsbG8='), 'hallo');
  assert.equal(text('data:image/png;name=a;base64,aGFs%62G8%3D#part'), 'hallo');
  assert.equal(text('data:,100%25'), '100%');
  assert.deepEqual(dataUrlBytes('data:,%c3%a4'), new Uint8Array([0xc3, 0xa4]));
  assert.equal(dataUrlBytes('https://example.test/data:,x'), undefined);
  assert.equal(dataUrlBytes('data:image/png;base64,*'), undefined);
});

test('an AVIF tells its size before it is decoded', () => {
  const path = new URL('../../../tests/e2e/fixtures/firearm-pistol.avif', import.meta.url);
  const file = readFileSync(path);
  const size = claimedSize(file);
  assert.deepEqual(size, { width: 160, height: 160 });
  const ispe = file.indexOf('ispe');
  file.writeUInt32BE(65_000, ispe + 8);
  assert.deepEqual(claimedSize(file), { width: 65_000, height: 160 });
  assert.equal(claimedSize(Buffer.from('no such file')), undefined);
  assert.equal(claimedSize(new Uint8Array(0)), undefined);
});

test("what the browser decodes has the engine's limits", () => {
  const limits = readFileSync(
    new URL('../../../crates/vision/src/limits.rs', import.meta.url),
    'utf8',
  );
  const rust = (/** @type {string} */ name) =>
    Number(new RegExp(`${name}: ([\\d_]+),`).exec(limits)?.[1]?.replaceAll('_', ''));
  assert.equal(MAX_SIDE, rust('max_side'));
  assert.equal(MAX_PIXELS, rust('max_pixels'));
  checkSize({ width: 30_000, height: 4_000 });
  for (const size of [
    { width: 30_001, height: 1 },
    { width: 11_000, height: 11_000 },
  ]) {
    assert.throws(() => checkSize(size), { code: 'image.too_large' });
  }
});
