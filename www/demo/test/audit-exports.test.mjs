import assert from 'node:assert/strict';
import { test } from 'node:test';

import { csv } from '../../node_modules/.cache/tsc/demo/audit/csv.js';
import { jsonLines, recordOf } from '../../node_modules/.cache/tsc/demo/audit/records.js';
import { escape, report } from '../../node_modules/.cache/tsc/demo/audit/report.js';
import { tally } from '../../node_modules/.cache/tsc/demo/audit/tally.js';
import { assessment, MODEL, rowOf, rowsWith } from './audit-materials.mjs';

const PRESENT = { policyId: 'p1', modelId: 'm@1', detail: /** @type {const} */ ('low') };
const EVIL = '"><script>alert(1)</script>.jpg';

function audit() {
  const rows = rowsWith({
    'gun, "big".jpg': assessment(0.9, 'O6', { rationale: 'Line one\nline two' }),
    '=HYPERLINK("http://x").jpg': assessment(0.1, 'NA', { policy: 'p0' }),
    [EVIL]: { code: 'image.truncated', message: 'It <ends> too early.' },
    'waiting.jpg': undefined,
  });
  rows.review(rowOf(rows, 'gun, "big".jpg'), 'Safe');
  rows.note(rowOf(rows, 'gun, "big".jpg'), '@toy & prop');
  rows.note(rowOf(rows, 'waiting.jpg'), 'look at it');
  const records = rows.all.map((row) => recordOf(row, { thresholds: MODEL, present: PRESENT }));
  return { rows, records };
}

/**
 * Reads CSV as RFC 4180 has it.
 * @param {string} text
 */
function parseCsv(text) {
  /** @type {string[][]} */
  const lines = [[]];
  for (const [, quoted, plain, end] of text.matchAll(
    /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/g,
  )) {
    lines.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain ?? '');
    if (end === '\r\n') lines.push([]);
    if (end === '') break;
  }
  return lines.slice(0, -1);
}

test('CSV holds every row, and no cell a spreadsheet would run', () => {
  const text = csv(audit().records);
  assert.ok(text.startsWith('\uFEFFimage,rating,final_rating,review,note,'));
  const [head, ...lines] = parseCsv(text.slice(1));
  assert.ok(head);
  assert.equal(lines.length, 4);
  assert.ok(lines.every((line) => line.length === head.length));
  const cell = (/** @type {number} */ line, /** @type {string} */ name) =>
    lines[line]?.[head.indexOf(name)];
  assert.equal(cell(0, 'image'), 'gun, "big".jpg');
  assert.equal(cell(0, 'rating'), 'Unsafe');
  assert.equal(cell(0, 'final_rating'), 'Safe');
  assert.equal(cell(0, 'review'), 'overruled');
  assert.equal(cell(0, 'note'), "'@toy & prop");
  assert.equal(cell(0, 'rationale'), 'Line one\nline two');
  assert.equal(cell(1, 'image'), `'=HYPERLINK("http://x").jpg`);
  assert.equal(cell(1, 'current'), 'false');
  assert.equal(cell(2, 'rating'), '');
  assert.equal(cell(2, 'error_code'), 'image.truncated');
  for (const start of [
    '=',
    '+',
    '-',
    '@',
    '\t',
    '\r',
    '\n',
    ' =',
    '\u0000=',
    '＝',
    '＋',
    '－',
    '＠',
    '|',
    '%',
  ]) {
    const { records } = audit();
    const [first] = records;
    assert.ok(first);
    const line = csv([{ ...first, image: `${start}cmd` }])
      .split('\r\n')
      .slice(1)
      .join('\r\n');
    assert.match(line, /^"'/, JSON.stringify(start));
  }
});

test('JSONL has an object a row, with names of an assessment', () => {
  const lines = jsonLines(audit().records)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(lines.length, 4);
  const [first, second, broken, waiting] = lines;
  assert.equal(first.rating, 'Unsafe');
  assert.equal(first.unsafe_probability, 0.9);
  assert.deepEqual(first.category, { id: 'O6', name: 'O6: Name' });
  assert.deepEqual(first.category_probabilities[0], {
    id: 'O6',
    name: 'O6: Name',
    probability: 0.8,
  });
  assert.deepEqual(first.review, { state: 'overruled', rating: 'Safe', note: '@toy & prop' });
  assert.deepEqual([first.current, second.current], [true, false]);
  assert.deepEqual([broken.image, broken.rating, broken.final_rating], [EVIL, null, null]);
  assert.equal(broken.error.code, 'image.truncated');
  assert.deepEqual([waiting.rating, waiting.error], [null, null]);
  assert.deepEqual(waiting.review, { state: 'open', rating: null, note: 'look at it' });
});

test('the report escapes what it is given and can load nothing', async () => {
  const { rows, records } = audit();
  const thumbnail = new Blob([Uint8Array.of(255, 216, 255)], { type: 'image/jpeg' });
  const html = await (
    await report(
      {
        date: new Date(0),
        tally: tally(rows.all, MODEL),
        records: records.map((record, at) => ({ record, thumbnail: at === 0 ? thumbnail : null })),
        charts: undefined,
      },
      /** @type {any} */ (
        new Proxy(
          { sentence: (/** @type {{ message: string }} */ { message }) => message },
          {
            // Every other text is its own name, every sentence a function that gives it.
            get: (given, name) =>
              Reflect.get(given, name)
              ?? (['made', 'summary', 'ratingName', 'reviewName', 'percent'].includes(String(name))
                ? (/** @type {unknown} */ value) => `${String(name)}:${String(value)}`
                : String(name)),
          },
        )
      ),
    )
  ).text();
  assert.ok(!html.includes('<script'));
  assert.ok(html.includes(escape(EVIL)));
  assert.ok(html.includes('It &lt;ends&gt; too early. (image.truncated)'));
  assert.ok(html.includes('<q>@toy &amp; prop</q>'));
  assert.ok(html.includes('src="data:image/jpeg;base64,/9j/"'));
  assert.match(
    html,
    /http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:;/,
  );
  assert.ok(!/(?:src|href)="(?!data:)/.test(html));
  assert.equal(html.match(/<tr class="/g)?.length, 4);
  assert.equal(html.match(/<tr class="Safe"/g)?.length, 2, 'the overruled one and the safe one');
});

test('text cannot leave an attribute, and control characters become visible', () => {
  assert.equal(escape(`<a href='x' b="y">&`), '&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;');
  assert.equal(escape('a\u0000b\nc'), 'a\uFFFDb\nc');
});
