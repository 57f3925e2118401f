/** Rates of LlavaGuard's matrix products, in a worker that has threads of its own. */

import { answer } from './call.mjs';

/**
 * @typedef {{ module: WebAssembly.Module, memory: WebAssembly.Memory, build: string }} Thread
 * @typedef {{ build: string, threads: number, format: string, leastMs: number,
 *   shapes: [number, number, number][] }} Job
 */

/** @param {string} build */
const glueOf = (build) => import(`/www/sdk/wasm/${build}/llavaguard.js`);

/** @returns {Promise<typeof import('llavaguard')>} */
const sdk = () => {
  const url = '/www/sdk/dist/index.js';
  return import(url);
};

answer(async (/** @type {Job | Thread} */ message) => {
  const glue = await glueOf(message.build);
  if ('memory' in message) {
    await glue.default({ module_or_path: message.module, memory: message.memory });
    self.postMessage({ answer: 'ready' });
    glue.runPoolThread();
    return undefined;
  }
  const { build, threads, format, leastMs, shapes } = message;
  const wasm = await fetch(`/www/sdk/wasm/${build}/llavaguard_bg.wasm`);
  const module = await WebAssembly.compileStreaming(wasm);
  const { memory } = await glue.default({ module_or_path: module });
  for (let index = 1; index < threads; index++) await startThread({ module, memory, build });
  glue.startPool?.(threads);
  const { gpuAdapter } = await sdk();
  const adapter = await gpuAdapter();
  if (adapter) glue.useAdapter?.(adapter.name, adapter.software, adapter.slowByteDots);
  const rates = [];
  for (const shape of shapes) rates.push(await glue.productRate(...shape, format, leastMs));
  return rates;
});

/** @param {Thread} thread */
function startThread(thread) {
  const worker = new Worker(self.location.href, { type: 'module' });
  return new Promise((resolve, reject) => {
    worker.onmessage = resolve;
    worker.onerror = reject;
    worker.postMessage(thread);
  });
}
