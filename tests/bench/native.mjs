/**
 * Runs `llavaguard bench` and candle's binary in turns and prints a table. Called by `native`, which
 * builds both and makes the models:
 *
 *   node tests/bench/native.mjs FORMATS THREADS ROUNDS TOKENS [JSON_FILE]
 */

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { cell, median, processor, table } from './report.mjs';

const ROOT = path.resolve(import.meta.dirname, '../..');
const LLAVAGUARD = path.join(ROOT, 'target/release/llavaguard');
const CANDLE = path.join(ROOT, 'target/bench-candle-native/release/bench-candle');

/** Layers of LlavaGuard 0.5B that candle runs too. */
const VISION_LAYERS = 26;
const LANGUAGE_LAYERS = 24;

/** @typedef {{ name: string, unit: string, ours: number[], candle: number[] }} Row */

const [formats = '', threads = '', rounds = '', tokens = '', file = ''] = process.argv.slice(2);

/**
 * The JSON object a program prints.
 *
 * @param {string} program
 * @param {(string | number)[]} args
 * @returns {any}
 */
function measure(program, args) {
  const env = {
    ...process.env,
    RAYON_NUM_THREADS: threads,
    CANDLE_NUM_THREADS: threads,
  };
  const output = execFileSync(program, args.map(String), {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(output);
}

/** @param {string} format */
function bench(format) {
  const model = path.join(ROOT, `target/bench/random-0.5b-${format}.gguf`);
  /** @type {{ ours: any, siglip: any, quantized: any, qwen2: any }[]} */
  const taken = [];
  for (let round = 1; round <= Number(rounds); round++) {
    console.error(`   ${format}, round ${round} of ${rounds}`);
    const ours = measure(LLAVAGUARD, [
      ...['bench', '--json', '--rounds', 1, '--model', model],
      ...['--threads', threads, '--tokens', tokens],
    ]);
    const prompt = ours.prefill.tokens;
    taken.push({
      ours,
      siglip: measure(CANDLE, ['siglip', 'f32', VISION_LAYERS, 1]),
      quantized: measure(CANDLE, ['siglip', format, VISION_LAYERS, 1]),
      qwen2: measure(CANDLE, [...['qwen2', format, LANGUAGE_LAYERS, 1, prompt, tokens]]),
    });
  }
  const [first] = taken;
  if (!first) throw new Error('nothing was measured');
  const ours = (/** @type {string} */ stage) =>
    taken.map((round) => Number(round.ours[stage].milliseconds.median));
  const tile = {
    f32: taken.map((round) => Number(round.siglip.siglip_tile_ms[0])),
    [format]: taken.map((round) => Number(round.quantized.siglip_tile_ms[0])),
  };
  const prefill = taken.map((round) => Number(round.qwen2.qwen2_prefill_ms[0]));
  const decode = taken.map((round) => Number(round.qwen2.qwen2_decode_ms[0]));
  /** @type {Row[]} */
  const rows = [
    ...Object.entries(tile).map(([theirs, samples]) => ({
      name: `one tile (candle in ${theirs})`,
      unit: 'ms',
      ours: ours('vision_tile'),
      candle: samples,
    })),
    {
      name: `reading ${first.ours.prefill.tokens} tokens`,
      unit: 'ms',
      ours: ours('prefill'),
      candle: prefill,
    },
    {
      name: `writing ${tokens} tokens`,
      unit: 'ms',
      ours: ours('decode'),
      candle: decode,
    },
    {
      name: 'peak memory (candle: Qwen2 alone)',
      unit: 'MB',
      ours: taken.map(({ ours }) => ours.peak_memory.after_rounds / 1e6),
      candle: taken.map(({ qwen2 }) => qwen2.peak_memory_bytes / 1e6),
    },
    { name: 'loading', unit: 'ms', ours: taken.map(({ ours }) => ours.load_ms), candle: [] },
    { name: 'picture to verdict', unit: 'ms', ours: ours('verdict'), candle: [] },
    { name: 'picture to answer', unit: 'ms', ours: ours('answer'), candle: [] },
  ];
  const versions = {
    llavaguard: first.ours.version,
    device: first.ours.device,
    candle: first.qwen2.candle,
  };
  return { format, versions, rows };
}

/** @param {ReturnType<typeof bench>} result */
function report({ format, versions, rows }) {
  const lines = rows.map(({ name, unit, ours, candle }) => {
    const ratio = median(candle) / median(ours);
    return [`${name}, ${unit}`, cell(ours), cell(candle), candle.length ? ratio.toFixed(2) : '–'];
  });
  return [
    '',
    `Weights in ${format}: llavaguard ${versions.llavaguard} on ${versions.device}; candle ${versions.candle}, ${threads} threads`,
    '',
    table(['', 'llavaguard', 'candle', 'candle / llavaguard'], lines),
  ].join('\n');
}

const results = formats.split(',').map(bench);
console.log(`${processor()}, ${os.type()}; medians of ${rounds} rounds`);
for (const result of results) console.log(report(result));
if (file) {
  const figures = { processor: processor(), threads, rounds, tokens, results };
  writeFileSync(file, `${JSON.stringify(figures, null, 2)}\n`);
}
