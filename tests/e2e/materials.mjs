/** What the tests hand to the page: sample photos, and files with something wrong with them. */

import { readFileSync } from 'node:fs';
import { crc32 } from './crc32.mjs';

/** @param {string} path from the repository's root */
function read(path) {
  return readFileSync(new URL(`../../${path}`, import.meta.url));
}

/** @param {string} name */
export function photo(name) {
  return read(`tests/photos/${name}`);
}

/**
 * What the demo model says of each sample photo, by policy.
 * @returns {Record<string, Record<string, { rating: string, category_id: string }>>}
 */
export function expected() {
  return JSON.parse(read('tests/photos/expected.json').toString());
}

/** The demo model's file. */
export function demoModel() {
  return read('models/demo/llavaguard-demo-q8_0.gguf');
}

/** The demo model's manifest. */
export function demoManifest() {
  return JSON.parse(read('models/demo/manifest.json').toString());
}

/**
 * The demo model with rows and columns of a tensor exchanged: the same bytes in a wrong shape.
 * @param {string} tensor
 */
export function withWrongShape(tensor) {
  const model = demoModel();
  const name = model.indexOf(tensor);
  // A GGUF tensor's entry: length of the name (u64), name, dimensions (u32), sizes (u64 each).
  const sizes = name + tensor.length + 4;
  const known = name >= 8 && model.readBigUInt64LE(name - 8) === BigInt(tensor.length);
  if (!known || model.readUInt32LE(sizes - 4) !== 2) throw new Error(`no matrix "${tensor}"`);
  const [a, b] = [model.readBigUInt64LE(sizes), model.readBigUInt64LE(sizes + 8)];
  if (a === b) throw new Error(`"${tensor}" is square, so exchanging its sizes changes nothing`);
  model.writeBigUInt64LE(b, sizes);
  model.writeBigUInt64LE(a, sizes + 8);
  return model;
}

/**
 * A PNG that claims a size in its header and holds next to nothing.
 * @param {number} width
 * @param {number} height
 */
export function pngHeader(width, height) {
  const size = Buffer.alloc(13);
  size.writeUInt32BE(width, 0);
  size.writeUInt32BE(height, 4);
  // 8 bits a channel, RGB, no interlacing.
  size.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', size),
    chunk('IDAT', Buffer.from([0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01])),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/**
 * @param {string} type
 * @param {Buffer} data
 */
function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}
