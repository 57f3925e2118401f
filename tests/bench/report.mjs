/** What the benchmarks print their figures with. */

import os from 'node:os';

/** @param {number[]} samples */
export function median(samples) {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (/** @type {number} */ index) => sorted[index] ?? NaN;
  const middle = (sorted.length - 1) / 2;
  return (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2;
}

/**
 * Median and, in per cent of it, half the distance between the least and the most; a dash of none.
 *
 * @param {number[]} samples
 * @param {number} [digits]
 */
export function cell(samples, digits = 0) {
  if (samples.length === 0) return '–';
  const middle = median(samples);
  const spread = ((Math.max(...samples) - Math.min(...samples)) / middle) * 100;
  return `${middle.toFixed(digits)} ±${(spread / 2).toFixed(0)}%`;
}

/**
 * A table in Markdown, the first column text and the others numbers.
 *
 * @param {string[]} head
 * @param {string[][]} rows
 */
export function table(head, rows) {
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** The processor's name, where the system tells it. */
export function processor() {
  const [cpu] = os.cpus();
  return cpu ? `${os.cpus().length} x ${cpu.model.trim()}` : os.arch();
}
