/** onnxruntime-web on its CPU provider. */

import * as ort from '/tests/bench/peers/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs';

import { answer } from './call.mjs';

const [PATCHES, TOWER, HIDDEN, KV_HEADS, HEAD] = [729, 1152, 896, 2, 64];

/**
 * @typedef {{ format: string, threads: number, layers: number, towerLayers: number, decoderLayers: number,
 *   prompt: number, tokens: number }} Job
 */

answer(async (/** @type {Job} */ job) => {
  ort.env.wasm.wasmPaths = '/tests/bench/peers/node_modules/onnxruntime-web/dist/';
  ort.env.wasm.numThreads = job.threads;
  const tile = await timeTower(job);
  const { prefill, decode } = await timeDecoder(job);
  return { version: ort.env.versions.web, tile, prefill, decode };
});

/** @param {string} part */
function session(part) {
  return ort.InferenceSession.create(`/target/bench/onnx/${part}.onnx`, {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
  });
}

/** @param {number[]} shape */
function noise(...shape) {
  const values = Float32Array.from(
    { length: shape.reduce((a, b) => a * b) },
    () => Math.random() * 2 - 1,
  );
  return new ort.Tensor('float32', values, shape);
}

/**
 * Milliseconds of the whole tower over a tile.
 *
 * @param {Job} job
 */
async function timeTower({ format, layers, towerLayers }) {
  const tower = await session(`tower-${format}`);
  const x = noise(1, PATCHES, TOWER);
  await tower.run({ x });
  const start = performance.now();
  await tower.run({ x });
  const taken = performance.now() - start;
  await tower.release();
  return (taken * towerLayers) / layers;
}

/**
 * Milliseconds of the whole decoder over the prompt, and over tokens one by one behind it with the
 * head's logits for each.
 *
 * @param {Job} job
 */
async function timeDecoder({ format, layers, decoderLayers, prompt, tokens }) {
  const decoder = await session(`decoder-${format}`);
  /** @type {Record<string, ort.Tensor>} */
  let past = {};
  const forget = () => {
    past = {};
    for (let layer = 0; layer < layers; layer++) {
      for (const what of ['key', 'value']) {
        past[`past_${layer}_${what}`] = new ort.Tensor('float32', [], [1, KV_HEADS, 0, HEAD]);
      }
    }
  };
  let length = 0;
  const read = async (/** @type {ort.Tensor} */ x) => {
    const tokens = x.dims[1] ?? 0;
    const before = length;
    length += tokens;
    const mask = new Float32Array(tokens * length);
    const positions = new BigInt64Array(tokens);
    for (let row = 0; row < tokens; row++) {
      mask.fill(-Infinity, row * length + before + row + 1, (row + 1) * length);
      positions[row] = BigInt(before + row);
    }
    const found = await decoder.run({
      x,
      mask: new ort.Tensor('float32', mask, [tokens, length]),
      positions: new ort.Tensor('int64', positions, [1, tokens]),
      ...past,
    });
    for (const name of Object.keys(past)) {
      past[name] = /** @type {ort.Tensor} */ (found[name.replace('past', 'present')]);
    }
  };
  forget();
  await read(noise(1, 16, HIDDEN));
  forget();
  length = 0;
  const x = noise(1, prompt, HIDDEN);
  let start = performance.now();
  await read(x);
  const prefill = ((performance.now() - start) * decoderLayers) / layers;

  const token = noise(1, 1, HIDDEN);
  start = performance.now();
  for (let index = 0; index < tokens; index++) await read(token);
  const layersOnly = ((performance.now() - start) * decoderLayers) / layers;
  await decoder.release();

  const head = await session(`head-${format}`);
  await head.run({ x: token });
  start = performance.now();
  for (let index = 0; index < tokens; index++) await head.run({ x: token });
  const decode = layersOnly + performance.now() - start;
  await head.release();
  return { prefill, decode };
}
