import type { AuditRecord } from './records.js';
import type { CategoryCount, Tally } from './tally.js';
import { unsafeShare } from './tally.js';

/** Words in the report. Those with arguments are sentences. */
export interface ReportTexts {
  /** BCP 47, of the words. */
  language: string;
  title: string;
  made: (date: Date) => string;
  summary: (tally: Tally) => string;
  /** What a report is not: a person's judgement. */
  caution: string;
  policy: string;
  model: string;
  detail: string;
  mixed: string;
  categories: string;
  category: string;
  pictures: string;
  unsafe: string;
  share: string;
  all: string;
  picture: string;
  rating: string;
  probability: string;
  review: string;
  showUnsafe: string;
  blurred: string;
  notJudged: string;
  couldNotBeJudged: string;
  olderPolicy: string;
  /** What went wrong with a picture. */
  sentence: (error: { code: string; message: string }) => string;
  ratingName: (rating: 'Safe' | 'Unsafe') => string;
  reviewName: (state: 'open' | 'confirmed' | 'overruled') => string;
  percent: (share: number) => string;
}

/** What a report is made of. */
export interface ReportContent {
  date: Date;
  tally: Tally;
  records: { record: AuditRecord; thumbnail: Blob | null | undefined }[];
  /** The charts as SVG; they come from the plotting library, which escapes what it is given. */
  charts: { counts: string; shares: string } | undefined;
}

/**
 * A report as one HTML file that needs no network and runs no script: its content security policy lets
 * it load nothing but the pictures within it. Paths, notes and rationales are untrusted and escaped.
 */
export async function report(content: ReportContent, texts: ReportTexts): Promise<Blob> {
  const parts: BlobPart[] = [head(content, texts)];
  for (const { record, thumbnail } of content.records) {
    const address = thumbnail ? await dataAddress(thumbnail) : undefined;
    // A Blob of each row: a browser may keep those on disk, while one long string is held in memory.
    parts.push(new Blob([row(record, address, texts)]));
  }
  parts.push('</tbody></table></main></body></html>\n');
  return new Blob(parts, { type: 'text/html' });
}

/** Text as it stands in HTML, in attributes too. */
export function escape(text: string): string {
  return text.replace(/[&<>"'\p{Cc}]/gu, (char) => {
    // Control characters are not allowed in HTML, whatever a path may hold.
    return ENTITIES[char] ?? '\uFFFD';
  });
}

const ENTITIES: Partial<Record<string, string>> = {
  '\n': '\n',
  '\t': '\t',
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function head({ date, tally, records, charts }: ReportContent, texts: ReportTexts): string {
  const judged = records.map(({ record }) => record).filter(({ policy_id }) => policy_id !== null);
  const facts: [string, string][] = [
    [
      texts.policy,
      common(
        judged.map((one) => `${one.policy_name} (${one.policy_id?.slice(0, 12)})`),
        texts,
      ),
    ],
    [
      texts.model,
      common(
        judged.map(({ model_id }) => model_id ?? ''),
        texts,
      ),
    ],
    [
      texts.detail,
      common(
        judged.map(({ detail }) => detail?.level ?? ''),
        texts,
      ),
    ],
  ];
  return `<!doctype html>
<html lang="${escape(texts.language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${escape(texts.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escape(texts.title)}</h1>
<p>${escape(texts.made(date))}</p>
<p class="summary">${escape(texts.summary(tally))}</p>
<p class="quiet">${escape(texts.caution)}</p>
<dl>${facts.map(([name, value]) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`).join('')}</dl>
<h2>${escape(texts.categories)}</h2>
${charts ? `<div class="charts">${charts.counts}${charts.shares}</div>` : ''}
<table class="counts"><thead><tr><th scope="col">${escape(texts.category)}</th><th scope="col">${escape(texts.pictures)}</th><th scope="col">${escape(texts.unsafe)}</th><th scope="col">${escape(texts.share)}</th></tr></thead>
<tbody>${tally.categories.map((category) => categoryRow(category, texts)).join('')}</tbody></table>
<h2 id="all">${escape(texts.all)}</h2>
<label class="reveal"><input type="checkbox"> ${escape(texts.showUnsafe)}</label>
<table class="pictures"><thead><tr><th scope="col">${escape(texts.picture)}</th><th scope="col">${escape(texts.rating)}</th><th scope="col">${escape(texts.probability)}</th><th scope="col">${escape(texts.category)}</th><th scope="col">${escape(texts.review)}</th></tr></thead>
<tbody>
`;
}

/** A value that all have, or a word for several. */
function common(values: string[], texts: ReportTexts): string {
  const [first, ...others] = new Set(values);
  if (first === undefined) return '–';
  return others.length === 0 ? first : `${texts.mixed}: ${[first, ...others].join(', ')}`;
}

function categoryRow(category: CategoryCount, texts: ReportTexts): string {
  const { name, safe, unsafe } = category;
  const share = safe + unsafe === 0 ? '–' : texts.percent(unsafeShare(category));
  return `<tr><th scope="row">${escape(name)}</th><td>${safe + unsafe}</td><td>${unsafe}</td><td>${escape(share)}</td></tr>`;
}

function row(record: AuditRecord, address: string | undefined, texts: ReportTexts): string {
  const { final_rating, rating, unsafe_probability, threshold, category, error, review } = record;
  const picture = address
    ? `<img src="${address}" alt="${final_rating === 'Safe' ? '' : escape(texts.blurred)}">`
    : '<span class="blank"></span>';
  const shown = final_rating
    ? `<strong class="rating">${escape(texts.ratingName(final_rating))}</strong>`
    : `<strong>${escape(error ? texts.couldNotBeJudged : texts.notJudged)}</strong>`;
  const changed =
    rating && final_rating !== rating ? `<br><s>${escape(texts.ratingName(rating))}</s>` : '';
  const notes = [
    record.current === false ? texts.olderPolicy : '',
    error ? `${texts.sentence(error)} (${error.code})` : '',
    record.rationale?.trim() ?? '',
  ].filter((note) => note !== '');
  const probability =
    unsafe_probability === null
      ? ''
      : `${texts.percent(unsafe_probability)}${threshold === null ? '' : ` <span class="quiet">/ ${escape(texts.percent(threshold))}</span>`}`;
  const reviewed = review
    ? `${escape(texts.reviewName(review.state))}${review.note ? `<br><q>${escape(review.note)}</q>` : ''}`
    : '';
  return `<tr class="${final_rating ?? 'open'}"><td><div class="picture">${picture}<span class="path">${escape(record.image)}</span></div></td><td>${shown}${changed}</td><td>${probability}</td><td>${escape(category?.name ?? '')}${notes.map((note) => `<p class="note">${escape(note)}</p>`).join('')}</td><td>${reviewed}</td></tr>\n`;
}

async function dataAddress(blob: Blob): Promise<string> {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  // Only the types thumbnails come in: this stands in an attribute.
  return `data:${blob.type === 'image/png' ? 'image/png' : 'image/jpeg'};base64,${btoa(binary)}`;
}

const STYLE = `
:root{--safe:#23704f;--unsafe:#a8321f;--ink:#1d2321;--quiet:#5c6662;--line:#dcdcd4;--ground:#fff;color-scheme:light dark}
@media screen and (prefers-color-scheme:dark){:root{--safe:#86d3ab;--unsafe:#f2a08f;--ink:#e8ece9;--quiet:#9faba5;--line:#343c38;--ground:#141816}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:68rem;margin:0 auto;padding:2rem 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
p{margin:.35rem 0}.summary{font-size:1.1em}.quiet{color:var(--quiet);font-size:.9em}
dl{display:grid;grid-template-columns:auto minmax(0,1fr);gap:.1rem 1rem}dt{color:var(--quiet)}dd{margin:0;overflow-wrap:anywhere}
.charts{display:flex;flex-wrap:wrap;gap:1rem}.chart{display:block;max-width:100%;height:auto;overflow:visible;font-family:inherit}.chart text{white-space:pre}
table{width:100%;border-collapse:collapse;font-size:.9em}
th,td{padding:.4rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top;font-weight:inherit}
thead th{color:var(--quiet)}.counts td,.counts thead th:not(:first-child){text-align:right;font-variant-numeric:tabular-nums}.counts{max-width:42rem;margin-top:1rem}
.picture{display:flex;gap:.7rem;align-items:center;min-width:11rem}
.picture img,.blank{flex:none;width:64px;height:48px;object-fit:cover;border-radius:4px;background:var(--line)}
.Unsafe .rating{color:var(--unsafe)}.Safe .rating{color:var(--safe)}
.Unsafe img,.open img{filter:blur(8px)}
main:has(.reveal input:checked) img{filter:none}
.path,.note,q{overflow-wrap:anywhere}.pictures td:nth-child(2),.pictures td:nth-child(3){white-space:nowrap}.pictures td:nth-child(5){min-width:6rem}
.note{margin:.15rem 0 0;color:var(--quiet);font-size:.95em}
@media (max-width:40rem){thead{display:none}.counts thead{display:table-header-group}.pictures tr{display:grid;padding:.5rem 0;border-bottom:1px solid var(--line)}.pictures td:nth-child(n){white-space:normal;border:0;padding:.1rem 0}.pictures td:empty{display:none}}
@page{margin:15mm}
@media print{.charts{flex-wrap:nowrap}.chart{width:49%}main{max-width:none;padding:0}body{font-size:11px}tr,.charts,.chart{break-inside:avoid}thead{display:table-header-group}.reveal{display:none}.counts{max-width:none}}
`
  .trim()
  .replaceAll('\n', '');
