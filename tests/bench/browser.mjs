/**
 * Times LlavaGuard and its peers in headless Chromium, in turns, and prints tables. Called by
 * `browser`, which builds all of them and makes the models:
 *
 *   node tests/bench/browser.mjs ROUNDS TOKENS [JSON_FILE [CONTESTANT]]
 *
 * Each measurement has a browser of its own, so that nothing is warm and its memory is its own.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';

import { launch, serve } from '../e2e/browser.mjs';
import { cell, median, processor, table } from './report.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** LlavaGuard 0.5B. */
const [TOWER_LAYERS, DECODER_LAYERS] = [26, 24];
/** Tokens of the default policy's prompt at detail `low`: 729 visual ones and 1,129 of text. */
const PROMPT = 1858;
/** Layers in the ONNX files (`peers/make_onnx.py`). */
const ONNX_LAYERS = 4;

/** Rows, inputs and outputs: the tower's MLP both ways, the decoder's in reading and in writing. */
const SHAPES = /** @type {const} */ ([
  [729, 1152, 4320],
  [729, 4320, 1152],
  [1858, 896, 4864],
  [1858, 4864, 896],
  [1, 896, 4864],
  [1, 4864, 896],
]);
/** Milliseconds a product is repeated for. */
const LEAST_MS = 400;

const [rounds = 3, tokens = 64] = process.argv.slice(2, 4).map(Number);
const [, , , , file = '', only = ''] = process.argv;

/**
 * What one measurement gives: milliseconds of stages, and what is known beside.
 * @typedef {Partial<Record<Stage, number>> & { version?: string, rates?: number[], promptTokens?: number, generated?: number }} Figures
 * @typedef {'load' | 'tile' | 'prefill' | 'decode' | 'verdict' | 'answer' | 'memory'} Stage
 * @typedef {{ name: string, module: string, call?: string, options: Record<string, unknown> }} Contestant
 */

/** @param {Omit<Contestant, 'options'> & { threads: number, options?: Record<string, unknown> }} contestant */
const contestant = ({ name, module, call, threads, options }) => ({
  name: `${name}, ${threads} thread${threads === 1 ? '' : 's'}`,
  module,
  ...(call ? { call } : {}),
  options: {
    threads,
    tokens,
    prompt: PROMPT,
    towerLayers: TOWER_LAYERS,
    decoderLayers: DECODER_LAYERS,
    ...options,
  },
});

/** Builds of LlavaGuard and their threads. */
const BUILDS = /** @type {const} */ ([
  ['relaxed', 2],
  ['relaxed', 1],
  ['relaxed-single', 1],
  ['simd', 1],
]);

/** @type {Contestant[]} */
const CONTESTANTS = [
  // The builds for pages without threads in q4_0 alone: they take minutes.
  ...['q4_0', 'q8_0'].flatMap((format) =>
    BUILDS.filter(([build]) => format === 'q4_0' || build === 'relaxed').map(([build, threads]) =>
      contestant({
        name: `llavaguard ${format} ${build}`,
        module: 'llavaguard.mjs',
        threads,
        options: { build, model: `/target/bench/random-0.5b-${format}.gguf` },
      }),
    ),
  ),
  ...['q4_0', 'q8_0', 'f32'].flatMap((format) =>
    BUILDS.filter(([build]) => format !== 'f32' || build === 'relaxed').map(([build, threads]) =>
      contestant({
        name: `products ${format} ${build}`,
        module: 'call.mjs',
        call: 'products-worker.mjs',
        threads,
        options: { build, format, shapes: SHAPES, leastMs: LEAST_MS },
      }),
    ),
  ),
  ...['f32', 'int8', '4bit'].flatMap((format) =>
    [2, 1].map((threads) =>
      contestant({
        name: `onnxruntime-web ${format}`,
        module: 'call.mjs',
        call: 'onnxruntime-worker.mjs',
        threads,
        options: { format, layers: ONNX_LAYERS },
      }),
    ),
  ),
  contestant({
    name: 'wllama q4_0',
    module: 'wllama.mjs',
    threads: 2,
    options: { model: '/target/bench/qwen2-q4_0.gguf' },
  }),
  contestant({
    name: 'candle q4_0',
    module: 'call.mjs',
    call: 'candle-worker.mjs',
    threads: 1,
    options: { quant: 'q4_0' },
  }),
].filter(({ name }) => name.includes(only));

/**
 * @param {string} url
 * @param {Contestant} contestant
 * @returns {Promise<Figures>}
 */
async function measure(url, { module, call, options }) {
  const browser = await launch();
  try {
    // Peers make workers out of blobs, which the server's policy for our own page forbids.
    const context = await browser.newContext({ bypassCSP: true });
    const page = await context.newPage();
    await page.goto(`${url}tests/bench/page/blank.html`);
    const found = await page.evaluate(
      async ([module, call, options]) => {
        const { run, call: callWorker } = await import(`/tests/bench/page/${module}`);
        return call ? callWorker(`/tests/bench/page/${call}`, options) : run(options);
      },
      /** @type {const} */ ([module, call ?? '', options]),
    );
    const memory = await peakMemory(browser);
    return Array.isArray(found) ? { rates: found } : { ...found, memory };
  } finally {
    await browser.close();
  }
}

/**
 * Megabytes the page's process has had resident at most.
 *
 * @param {import('../e2e/browser.mjs').Browser} browser
 */
async function peakMemory(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  const peaks = processInfo
    .filter(({ type }) => type === 'renderer')
    .map(({ id }) => /VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${id}/status`, 'utf8'))?.[1]);
  return Math.max(...peaks.map(Number)) / 1e3;
}

/** Writes what was measured so far: a run that is stopped keeps it. */
function keep() {
  if (!file) return;
  const figures = {
    ...{ processor: processor(), tokens, prompt: PROMPT, shapes: SHAPES },
    results: Object.fromEntries(results),
  };
  writeFileSync(file, `${JSON.stringify(figures, null, 2)}\n`);
}

/** @type {Map<string, Figures[]>} */
const results = new Map(CONTESTANTS.map(({ name }) => [name, []]));
const server = await serve({ root: ROOT });
try {
  for (let round = 1; round <= rounds; round++) {
    for (const contestant of CONTESTANTS) {
      const start = performance.now();
      const figures = await measure(server.url, contestant);
      results.get(contestant.name)?.push(figures);
      keep();
      const seconds = ((performance.now() - start) / 1e3).toFixed(0);
      console.error(`   round ${round} of ${rounds}: ${contestant.name} (${seconds} s)`);
    }
  }
} finally {
  await server.close();
}

/**
 * @param {string} name
 * @param {Stage} stage
 */
function samples(name, stage) {
  return (results.get(name) ?? []).flatMap((figures) => figures[stage] ?? []);
}

/** @type {Stage[]} */
const STAGES = ['tile', 'prefill', 'decode', 'verdict', 'answer', 'load', 'memory'];

function stagesTable() {
  const names = [...results.keys()].filter((name) => !name.startsWith('products'));
  return table(
    [
      'milliseconds',
      'one tile',
      `reading ${PROMPT} tokens`,
      `writing ${tokens} tokens`,
      'picture to verdict',
      'picture to answer',
      'loading',
      'peak memory, MB',
    ],
    names.map((name) => [name, ...STAGES.map((stage) => cell(samples(name, stage)))]),
  );
}

function productsTable() {
  const names = [...results.keys()].filter((name) => name.startsWith('products'));
  return table(
    ['giga-operations a second', ...SHAPES.map((shape) => shape.join(' x '))],
    names.map((name) => [
      name.replace('products ', ''),
      ...SHAPES.map((_, index) =>
        cell((results.get(name) ?? []).flatMap(({ rates }) => rates?.[index] ?? [])),
      ),
    ]),
  );
}

/** How many times as long peers take as LlavaGuard with as many threads. */
function ratiosTable() {
  const peers = [...results.keys()].filter((name) => !/^(products|llavaguard)/.test(name));
  const ours = ['q4_0', 'q8_0'].map((format) => `llavaguard ${format} relaxed`);
  /** @type {Stage[]} */
  const stages = ['tile', 'prefill', 'decode'];
  return table(
    [
      'times as long as llavaguard',
      ...ours.flatMap((name) => stages.map((stage) => `${stage}, ${name.split(' ')[1]}`)),
    ],
    peers.map((peer) => [
      peer,
      ...ours.flatMap((name) =>
        stages.map((stage) => {
          const own = samples(`${name}, ${peer.split(', ')[1]}`, stage);
          const ratio = median(samples(peer, stage)) / median(own);
          return Number.isFinite(ratio) ? ratio.toFixed(1) : '–';
        }),
      ),
    ]),
  );
}

const versions = Object.fromEntries(
  [...results].flatMap(([name, [first]]) =>
    first?.version ? [[name.split(/ (q|f|int|4)/)[0], first.version]] : [],
  ),
);
const browser = await launch();
versions['chromium'] = browser.version();
await browser.close();

console.log(
  `${processor()}, ${os.type()}; medians of ${rounds} rounds, each in a browser of its own`,
);
console.log(
  Object.entries(versions)
    .map(([name, version]) => `${name}: ${version}`)
    .join('\n'),
);
for (const text of [stagesTable(), ratiosTable(), productsTable()]) console.log(`\n${text}`);
