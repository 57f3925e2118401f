/**
 * Compiles WGSL as browsers do: in Chromium, or where its adapter lacks a feature that the text
 * enables, in Dawn, the library that is Chromium's WebGPU, over a GPU that has every feature and
 * computes nothing.
 *
 * Such a feature is `shader-f16`. SwiftShader has none, and the other adapter in software, lavapipe, has
 * too little for Chromium as of Mesa 22.3: no arrays of buffers indexed dynamically, no sampling of YCbCr.
 */

import { existsSync } from 'node:fs';

/** @typedef {import('../../www/node_modules/playwright-core/index.js').Page} Page */

const DAWN = new URL('../dawn/node_modules/webgpu/index.js', import.meta.url);

/**
 * What the compiler has against a text, a line a message, and nothing where it has nothing; no
 * answer where the adapter lacks one of the features. Runs in the page too, so it uses nothing of
 * this file.
 *
 * @param {{ gpu?: GPU, source: string, features: string[] }} shader
 * @returns {Promise<string | undefined>}
 */
async function messages({ gpu = navigator.gpu, source, features }) {
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('there is no WebGPU adapter');
  if (!features.every((feature) => adapter.features.has(feature))) return undefined;
  const device = await adapter.requestDevice({
    requiredFeatures: /** @type {GPUFeatureName[]} */ (features),
  });
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code: source });
  const { messages } = await module.getCompilationInfo();
  const lines = messages.map(
    ({ type, lineNum, message }) => `${type} in line ${lineNum}: ${message}`,
  );
  if (lines.length === 0) {
    const compute = { module, entryPoint: 'main' };
    await device.createComputePipelineAsync({ layout: 'auto', compute }).catch((error) => {
      lines.push(String(error));
    });
  }
  const error = await device.popErrorScope();
  if (error && lines.length === 0) lines.push(error.message);
  device.destroy();
  return lines.join('\n');
}

/** @type {GPU | undefined} */
let dawn;

/** @returns {Promise<GPU>} */
async function openDawn() {
  if (!existsSync(DAWN)) throw new Error('Dawn is not installed: npm ci --prefix tests/dawn');
  const { create } = await import(DAWN.href);
  return create(['backend=null']);
}

/**
 * Compiles a text that needs `features` of WebGPU.
 *
 * @param {Page} page a page where WebGPU is to be had
 * @param {string} source
 * @param {string[]} features
 * @returns {Promise<string>} who compiled it, and from the second line on what it has against it
 */
export async function compileShader(page, source, features) {
  const found = await page.evaluate(messages, { source, features });
  if (found !== undefined) return `Chromium\n${found}`;
  dawn ??= await openDawn();
  const instead = await messages({ gpu: dawn, source, features });
  if (instead === undefined) throw new Error(`Dawn lacks one of ${features.join(', ')}`);
  return `Dawn\n${instead}`;
}
