/** Rows and assessments for the audit's tests. */

import { Rows } from '../../node_modules/.cache/tsc/demo/audit/rows.js';

/** @typedef {import('../src/audit/row.js').Row} Row */
/** @typedef {import('llavaguard').Assessment} Assessment */

/**
 * The model's own thresholds.
 * @type {import('../src/policy/thresholds.js').Thresholds}
 */
export const MODEL = {};

/**
 * An assessment under a policy of three categories.
 *
 * @param {number} unsafe probability
 * @param {string} [category]
 * @param {{ policy?: string, model?: string, rationale?: string }} [more]
 * @returns {Assessment}
 */
export function assessment(
  unsafe,
  category = 'O6',
  { policy = 'p1', model = 'm@1', rationale } = {},
) {
  const names = ['O6', 'O9', 'NA'];
  return {
    version: 1,
    rating: unsafe > 0.5 ? 'Unsafe' : 'Safe',
    category: { id: category, name: `${category}: Name` },
    rationale: rationale ?? null,
    rationale_truncated: false,
    unsafe_probability: unsafe,
    category_probabilities: names.map((id) => ({
      id,
      name: `${id}: Name`,
      probability: id === category ? 0.8 : 0.1,
    })),
    policy_id: policy,
    policy_name: `policy ${policy}`,
    model_id: model,
    detail: { level: 'low', tiles: 1, visual_tokens: 4 },
    tokens: { visual: 4, prompt: 9, generated: 2 },
    timings_ms: {
      decode_image: 1,
      preprocess: 1,
      vision: 1,
      prefill: 1,
      verdict: 1,
      rationale: 0,
      total: 5,
    },
  };
}

/**
 * Rows with the given outcomes, in order; nothing leaves a row waiting.
 *
 * @param {Record<string, Assessment | { code: string, message: string } | undefined>} outcomes by path
 */
export function rowsWith(outcomes) {
  const rows = new Rows(() => undefined);
  rows.add(Object.keys(outcomes).map((path) => ({ path, source: new File(['x'], path) })));
  for (const outcome of Object.values(outcomes)) {
    const row = rows.take();
    if (!row) throw new Error('there are as many rows as outcomes');
    if (outcome && 'code' in outcome) rows.failed(row, outcome);
    else if (outcome) rows.judged(row, outcome);
  }
  return rows;
}

/**
 * @param {Rows} rows
 * @param {string} path
 * @returns {Row}
 */
export function rowOf(rows, path) {
  const found = rows.all.find((row) => row.path === path);
  if (!found) throw new Error(`no row ${path}`);
  return found;
}
