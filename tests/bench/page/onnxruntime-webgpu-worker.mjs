/** Rates of onnxruntime-web's matrix products on its WebGPU provider. */

import * as ort from '/tests/bench/peers/node_modules/onnxruntime-web/dist/ort.webgpu.min.mjs';

import { answer } from './call.mjs';
import { productsModel } from './onnx.mjs';

/** Products in one run of a model, so that what a run costs beside them is shared out. */
const COUNT = 4;

/**
 * @typedef {{ format: 'f32' | '4bit', leastMs: number, shapes: [number, number, number][] }} Job
 */

answer(async (/** @type {Job} */ { format, leastMs, shapes }) => {
  ort.env.wasm.wasmPaths = '/tests/bench/peers/node_modules/onnxruntime-web/dist/';
  ort.env.wasm.numThreads = 1;
  const rates = [];
  for (const [rows, side] of shapes) rates.push(await rate({ rows, side, format, leastMs }));
  return rates;
});

/**
 * Giga-operations a second. Operands and results stay on the GPU; it is waited for behind series of
 * runs, as LlavaGuard's own measurement does.
 *
 * @param {{ rows: number, side: number, format: Job['format'], leastMs: number }} options
 */
async function rate({ rows, side, format, leastMs }) {
  const model = productsModel({ rows, side, count: COUNT, format });
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ['webgpu'],
    graphOptimizationLevel: 'all',
    preferredOutputLocation: 'gpu-buffer',
  });
  const device = /** @type {GPUDevice} */ (await ort.env.webgpu.device);
  const buffer = device.createBuffer({ size: 4 * rows * side, usage: 0x80 | 0x04 | 0x08 });
  device.queue.writeBuffer(
    buffer,
    0,
    Float32Array.from({ length: rows * side }, () => Math.random() * 2 - 1),
  );
  const x0 = ort.Tensor.fromGpuBuffer(buffer, { dataType: 'float32', dims: [rows, side] });
  const run = async (/** @type {number} */ times) => {
    for (let index = 0; index < times; index++) {
      const found = await session.run({ x0 });
      for (const output of Object.values(found)) output.dispose();
    }
    await device.queue.onSubmittedWorkDone();
  };
  await run(1);
  const start = performance.now();
  for (let count = 0, series = 1; ; series *= 2) {
    await run(series);
    count += series;
    const taken = performance.now() - start;
    if (taken >= leastMs) {
      await session.release();
      buffer.destroy();
      return (2 * rows * side * side * COUNT * count) / taken / 1e6;
    }
  }
}
