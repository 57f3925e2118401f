/**
 * Times matrix products of LlavaGuard's WebGPU build and of onnxruntime-web's WebGPU provider on the same
 * adapter, in turns in one run, and prints a table with the ratios. `tests/bench/webgpu` builds and
 * installs what it needs and starts it, with the number of rounds and `hardware` for the GPU in
 * SwiftShader's place.
 */

import { fileURLToPath } from 'node:url';

import { launch, serve } from '../e2e/browser.mjs';
import { median, processor, table } from './report.mjs';

/** Rows, inputs and outputs: many rows, a few, one. */
const SHAPES = /** @type {[number, number, number][]} */ ([
  [64, 896, 896],
  [8, 896, 896],
  [1, 896, 896],
  [1, 1152, 1152],
]);
/** The formats that are compared: ours, theirs. */
const FORMATS = /** @type {const} */ ([
  ['f32', 'f32'],
  ['q4_0', '4bit'],
  ['q8_0', undefined],
]);
/** Milliseconds a product is repeated for. */
const LEAST_MS = 800;

const rounds = Number(process.argv[2] ?? 3);
const hardware = process.argv[3] === 'hardware';
const server = await serve({ root: fileURLToPath(new URL('../..', import.meta.url)) });
const browser = await launch({ webgpu: !hardware });
const page = await (await browser.newContext({ bypassCSP: true })).newPage();
page.setDefaultTimeout(600_000);
await page.goto(`${server.url}tests/bench/page/blank.html`);

/**
 * @param {string} worker
 * @param {Record<string, unknown>} options
 * @returns {Promise<number[]>}
 */
const rates = (worker, options) =>
  page.evaluate(
    async ([worker, options]) => {
      const path = '/tests/bench/page/call.mjs';
      const { call } = await import(path);
      return call(`/tests/bench/page/${worker}`, options);
    },
    /** @type {const} */ ([worker, { ...options, shapes: SHAPES, leastMs: LEAST_MS }]),
  );

/** @type {Map<string, number[][]>} */
const found = new Map();
/** @param {string} name @param {number[]} rates */
const keep = (name, rates) => found.set(name, [...(found.get(name) ?? []), rates]);
try {
  for (let round = 1; round <= rounds; round++) {
    for (const [ours, theirs] of FORMATS) {
      const options = { build: 'webgpu', threads: 1, format: ours };
      keep(`llavaguard ${ours}`, await rates('products-worker.mjs', options));
      if (theirs) {
        const name = `onnxruntime-web ${theirs}`;
        keep(name, await rates('onnxruntime-webgpu-worker.mjs', { format: theirs }));
      }
    }
    console.error(`   round ${round} of ${rounds}`);
  }
} finally {
  await browser.close();
  await server.close();
}

/** @param {string} name @param {number} shape */
const middle = (name, shape) => median((found.get(name) ?? []).map((rates) => rates[shape] ?? NaN));
const columns = SHAPES.map((shape) => shape.join(' x '));
console.log(`${processor()}; ${hardware ? 'the GPU' : 'SwiftShader'}; medians of ${rounds} rounds`);
console.log(
  table(
    ['giga-operations a second', ...columns],
    [...found.keys()].map((name) => [name, ...SHAPES.map((_, at) => middle(name, at).toFixed(2))]),
  ),
);
console.log(
  table(
    ['times as fast', ...columns],
    FORMATS.flatMap(([ours, theirs]) =>
      theirs
        ? [
            [
              `${ours} over ${theirs}`,
              ...SHAPES.map((_, at) =>
                (
                  middle(`llavaguard ${ours}`, at) / middle(`onnxruntime-web ${theirs}`, at)
                ).toFixed(2),
              ),
            ],
          ]
        : [],
    ),
  ),
);
