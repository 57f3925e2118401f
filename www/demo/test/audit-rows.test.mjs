import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  finalRating,
  modelRating,
  reviewState,
} from '../../node_modules/.cache/tsc/demo/audit/row.js';
import { isStale } from '../../node_modules/.cache/tsc/demo/audit/rows.js';
import { tally, unsafeShare } from '../../node_modules/.cache/tsc/demo/audit/tally.js';
import { SHOW_ALL, view } from '../../node_modules/.cache/tsc/demo/audit/view.js';
import { assessment, MODEL, rowOf, rowsWith } from './audit-materials.mjs';

const BROKEN = { code: 'image.truncated', message: 'The file ends too early.' };

/** An audit with one row of each kind. */
function mixed() {
  return rowsWith({
    'a/10.jpg': assessment(0.9),
    'a/2.jpg': assessment(0.2, 'O9'),
    'b/broken.jpg': BROKEN,
    'b/3.jpg': assessment(0.55, 'O6', { policy: 'p0' }),
  });
}

/**
 * @param {import('../src/audit/rows.js').Rows} rows
 * @param {Partial<import('../src/audit/view.js').Filter>} filter
 * @param {import('../src/audit/view.js').Sort} [sort]
 */
function shown(rows, filter, sort = { key: 'added', descending: false }) {
  const present = { policyId: 'p1', modelId: 'm@1', detail: /** @type {const} */ ('low') };
  return view(rows.all, { ...SHOW_ALL, ...filter }, sort, { thresholds: MODEL, present }).map(
    ({ path }) => path,
  );
}

test('a row keeps what was said of it, and shares what all have in common', () => {
  const rows = mixed();
  const [first, second] = rows.all;
  assert.equal(first?.kept?.unsafeProbability, 0.9);
  assert.deepEqual([...(first.kept.probabilities ?? [])], [...Float32Array.of(0.8, 0.1, 0.1)]);
  assert.equal(first.kept.under, second?.kept?.under);
  assert.notEqual(first.kept.under, rowOf(rows, 'b/3.jpg').kept?.under);
});

test('a picture that is there already is not added again', () => {
  const rows = mixed();
  const [known] = rows.all;
  assert.ok(known);
  const other = new File(['another'], 'x');
  assert.equal(
    rows.add([
      { path: known.path, source: known.source },
      { path: 'c.jpg', source: other },
      // What is pasted always has the same name.
      { path: known.path, source: other },
    ]),
    2,
  );
  assert.equal(rows.all.length, 6);
});

test('the threshold of its category decides, without judging again', () => {
  const row = rowOf(mixed(), 'b/3.jpg');
  assert.equal(modelRating(row, MODEL), 'Unsafe');
  assert.equal(modelRating(row, { O6: 0.6 }), 'Safe');
});

test('what could not be judged has no rating, also when it had one before', () => {
  const rows = mixed();
  assert.equal(modelRating(rowOf(rows, 'b/broken.jpg'), MODEL), undefined);
  const row = rowOf(rows, 'a/2.jpg');
  rows.again([row]);
  assert.equal(modelRating(row, MODEL), 'Safe', 'until it is judged again');
  assert.equal(rows.take(), row, 'before all others');
  rows.failed(row, BROKEN);
  assert.equal(finalRating(row, MODEL), undefined);
  assert.equal(tally(rows.all, MODEL).failed, 2);
});

test("a person's word counts, whatever the model says", () => {
  const rows = mixed();
  const row = rowOf(rows, 'a/10.jpg');
  rows.review(row, 'Safe');
  assert.equal(finalRating(row, MODEL), 'Safe');
  assert.equal(reviewState(row, MODEL), 'overruled');
  assert.equal(reviewState(row, { O6: 0.95 }), 'confirmed');
  rows.again([row]);
  rows.take();
  rows.judged(row, assessment(0.1));
  assert.equal(reviewState(row, MODEL), 'confirmed');
  const broken = rowOf(rows, 'b/broken.jpg');
  rows.review(broken, 'Unsafe');
  const found = tally(rows.all, MODEL);
  assert.deepEqual(
    [found.safe, found.unsafe, found.failed, found.confirmed, found.overruled],
    [2, 2, 0, 1, 1],
  );
});

test('rows of another policy, model or detail are stale', () => {
  const rows = mixed();
  const present = { policyId: 'p1', modelId: 'm@1', detail: /** @type {const} */ ('low') };
  assert.deepEqual(
    rows.all.map((row) => isStale(row, present)),
    [false, false, false, true],
  );
  assert.equal(isStale(rowOf(rows, 'a/2.jpg'), { ...present, modelId: 'm@2' }), true);
  assert.equal(isStale(rowOf(rows, 'a/2.jpg'), { ...present, detail: 'high' }), true);
  assert.equal(isStale(rowOf(rows, 'a/2.jpg'), undefined), false);
});

test('clearing lets nothing that is under way come back', () => {
  const rows = rowsWith({ 'a.jpg': undefined });
  const [row] = rows.all;
  assert.ok(row);
  assert.equal(row.state, 'judging');
  rows.clear();
  rows.judged(row, assessment(0.9));
  rows.putBack(row);
  assert.equal(rows.all.length, 0);
  assert.equal(rows.take(), undefined);
});

test('filters', () => {
  const rows = mixed();
  rows.add([{ path: 'c/waiting.jpg', source: new File([], 'x') }]);
  rows.review(rowOf(rows, 'a/10.jpg'), 'Safe');
  assert.deepEqual(shown(rows, { state: 'Unsafe' }), ['b/3.jpg']);
  assert.deepEqual(shown(rows, { state: 'Safe' }), ['a/10.jpg', 'a/2.jpg']);
  assert.deepEqual(shown(rows, { state: 'failed' }), ['b/broken.jpg']);
  assert.deepEqual(shown(rows, { state: 'waiting' }), ['c/waiting.jpg']);
  assert.deepEqual(shown(rows, { category: 'O9' }), ['a/2.jpg']);
  assert.deepEqual(shown(rows, { review: 'overruled' }), ['a/10.jpg']);
  assert.deepEqual(shown(rows, { review: 'open' }), ['a/2.jpg', 'b/broken.jpg', 'b/3.jpg']);
  assert.deepEqual(shown(rows, { stale: true }), ['b/3.jpg']);
  assert.deepEqual(shown(rows, { text: ' A/ ' }), ['a/10.jpg', 'a/2.jpg']);
});

test('orders; what has no value comes last either way', () => {
  const rows = mixed();
  /** @param {import('../src/audit/view.js').SortKey} key @param {boolean} descending */
  const by = (key, descending) => shown(rows, {}, { key, descending });
  assert.deepEqual(by('path', false), ['a/2.jpg', 'a/10.jpg', 'b/3.jpg', 'b/broken.jpg']);
  assert.deepEqual(by('probability', false), ['a/2.jpg', 'b/3.jpg', 'a/10.jpg', 'b/broken.jpg']);
  assert.deepEqual(by('probability', true), ['a/10.jpg', 'b/3.jpg', 'a/2.jpg', 'b/broken.jpg']);
  assert.deepEqual(by('doubt', false)[0], 'b/3.jpg');
  assert.deepEqual(by('rating', false), ['a/10.jpg', 'b/3.jpg', 'a/2.jpg', 'b/broken.jpg']);
  assert.deepEqual(by('added', true)[0], 'b/3.jpg');
});

test('counts by category, in the order of the policy', () => {
  const { categories, ...counts } = tally(mixed().all, MODEL);
  assert.deepEqual(counts, {
    total: 4,
    safe: 1,
    unsafe: 2,
    failed: 1,
    waiting: 0,
    confirmed: 0,
    overruled: 0,
  });
  assert.deepEqual(
    categories.map(({ id, safe, unsafe }) => [id, safe, unsafe]),
    [
      ['O6', 0, 2],
      ['O9', 1, 0],
      ['NA', 0, 0],
    ],
  );
  assert.equal(unsafeShare({ safe: 3, unsafe: 1 }), 0.25);
  assert.equal(unsafeShare({ safe: 0, unsafe: 0 }), 0);
});
