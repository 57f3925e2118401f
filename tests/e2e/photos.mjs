/** Photos in numbers, for tests of the audit view: unpacked, or made from the sample photos. */

import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { launch } from './browser.mjs';

const SAMPLES = fileURLToPath(new URL('../photos/', import.meta.url));

/** Photos in a folder, so that the folders are of a size people have. */
const IN_A_FOLDER = 200;

/**
 * Unpacks photos of a tar archive, evenly spread over it, into a folder.
 *
 * @param {string} archive
 * @param {string} folder
 * @param {number} count
 */
export async function unpackPhotos(archive, folder, count) {
  const listed = execFileSync('tar', ['-tf', archive], { maxBuffer: 2 ** 28 }).toString();
  const names = listed.split('\n').filter((name) => /\.jpe?g$/i.test(name));
  if (names.length < count) throw new Error(`${archive} has ${names.length} photos, not ${count}`);
  const chosen = Array.from(
    { length: count },
    (_, at) => names[Math.floor((at * names.length) / count)],
  );
  await mkdir(folder, { recursive: true });
  execFileSync('tar', ['-xf', archive, '-C', folder, '-T', '-'], { input: chosen.join('\n') });
}

/**
 * Makes JPEGs that differ from each other into a folder: sample photos, cropped, turned, mirrored,
 * brightened and scaled by numbers that follow from the seed.
 *
 * @param {string} folder
 * @param {object} options
 * @param {number} options.count
 * @param {number} [options.side] pixels of the longer side
 * @param {number} [options.seed]
 */
export async function makePhotos(folder, { count, side = 640, seed = 1 }) {
  const names = (await readdir(SAMPLES)).filter((name) => name.endsWith('.jpg')).sort();
  const sources = await Promise.all(
    names.map(async (name) => (await readFile(join(SAMPLES, name))).toString('base64')),
  );
  const random = randomNumbers(seed);
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.evaluate(prepare, sources);
    for (let at = 0; at < count; at++) {
      const which = at % names.length;
      const change = Array.from({ length: 6 }, random);
      const made = await page.evaluate(vary, { which, change, side });
      const inner = join(folder, `${1 + Math.floor(at / IN_A_FOLDER)}`);
      await mkdir(inner, { recursive: true });
      const name = `${String(at + 1).padStart(4, '0')}-${basename(names[which] ?? '')}`;
      await writeFile(join(inner, name), Buffer.from(made, 'base64'));
    }
  } finally {
    await browser.close();
  }
}

/**
 * In the page: decodes the sample photos.
 * @param {string[]} sources
 */
async function prepare(sources) {
  const bitmaps = sources.map(async (base64) => {
    const response = await fetch(`data:image/jpeg;base64,${base64}`);
    return createImageBitmap(await response.blob());
  });
  Object.assign(globalThis, { bitmaps: await Promise.all(bitmaps) });
}

/**
 * In the page: a varied photo as JPEG in base64.
 * @param {{ which: number, change: number[], side: number }} what
 */
async function vary({ which, change, side }) {
  const [left = 0, top = 0, crop = 0, turn = 0, mirror = 0, light = 0] = change;
  const { bitmaps } = /** @type {{ bitmaps: ImageBitmap[] }} */ (
    /** @type {unknown} */ (globalThis)
  );
  const source = bitmaps[which];
  if (!source) throw new Error(`there is no sample photo ${which}`);
  const share = 0.85 + 0.15 * crop;
  const [width, height] = [source.width * share, source.height * share];
  const scale = side / Math.max(width, height);
  const canvas = new OffscreenCanvas(Math.round(width * scale), Math.round(height * scale));
  const context = canvas.getContext('2d');
  if (!context) throw new Error('no canvas');
  context.filter = `brightness(${0.9 + 0.2 * light})`;
  context.translate(canvas.width / 2, canvas.height / 2);
  context.rotate((turn - 0.5) * 0.1);
  context.scale(mirror < 0.5 ? 1.1 : -1.1, 1.1);
  context.drawImage(
    source,
    (source.width - width) * left,
    (source.height - height) * top,
    width,
    height,
    -canvas.width / 2,
    -canvas.height / 2,
    canvas.width,
    canvas.height,
  );
  const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.9 });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/**
 * Numbers from 0 to 1, the same for the same seed (mulberry32).
 * @param {number} seed
 */
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
