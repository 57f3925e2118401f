import type { AuditRecord } from './records.js';

const COLUMNS: [string, (record: AuditRecord) => string | number | boolean | null | undefined][] = [
  ['image', ({ image }) => image],
  ['rating', ({ rating }) => rating],
  ['final_rating', (record) => record.final_rating],
  ['review', ({ review }) => review?.state],
  ['note', ({ review }) => review?.note],
  ['category_id', ({ category }) => category?.id],
  ['category', ({ category }) => category?.name],
  ['unsafe_probability', (record) => record.unsafe_probability],
  ['threshold', ({ threshold }) => threshold],
  ['rationale', ({ rationale }) => rationale],
  ['error_code', ({ error }) => error?.code],
  ['error', ({ error }) => error?.message],
  ['policy_name', (record) => record.policy_name],
  ['policy_id', (record) => record.policy_id],
  ['model_id', (record) => record.model_id],
  ['detail', ({ detail }) => detail?.level],
  ['current', ({ current }) => current],
  ['milliseconds', ({ milliseconds }) => milliseconds],
];

/**
 * A table for spreadsheets, after RFC 4180. It begins with a byte order mark, without which Excel takes
 * UTF-8 for something else.
 */
export function csv(records: Iterable<AuditRecord>): string {
  const lines = [COLUMNS.map(([name]) => name).join(',')];
  for (const record of records) {
    lines.push(COLUMNS.map(([, value]) => field(value(record))).join(','));
  }
  return `\uFEFF${lines.join('\r\n')}\r\n`;
}

/**
 * What a spreadsheet takes for a formula, also behind spaces, and with the wide forms of East Asian
 * keyboards.
 */
const FORMULA = /^[\s\p{Cc}]*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20|%]|^[\t\r\n]/u;

/** A field; text that a spreadsheet could run gets an apostrophe before it, so that it stays text. */
function field(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'string') return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n']/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
