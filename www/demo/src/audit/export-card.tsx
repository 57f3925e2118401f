import { useSignal } from '@preact/signals';

import { ErrorMessage } from '../shared/error-message.js';
import { sentenceOf } from '../shared/error-text.js';
import { Check } from '../shared/fields.js';
import { percent, whole } from '../shared/format.js';
import { saveFile } from '../shared/save-file.js';
import { withoutMarks } from '../shared/words.js';
import { language, strings } from '../strings/index.js';
import { audit } from './audit-store.js';
import { charted } from './charts-card.js';
import { drawCharts } from './charts.js';
import { csv } from './csv.js';
import { jsonLines, recordOf } from './records.js';
import { report, type ReportTexts } from './report.js';
import type { Row } from './row.js';
import { tally } from './tally.js';

type Kind = 'csv' | 'jsonl' | 'report';

const ENDINGS: Record<Kind, string> = { csv: 'csv', jsonl: 'jsonl', report: 'html' };
/** Of a chart in a report, in pixels. */
const CHART_WIDTH = 500;

/** Takes the audit out of the page. */
export function ExportCard() {
  const { exports: text } = strings.value.audit;
  const onlyShown = useSignal(false);
  const busy = useSignal(false);
  const saved = useSignal<string | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const take = async (kind: Kind) => {
    busy.value = true;
    error.value = undefined;
    saved.value = undefined;
    try {
      const rows = onlyShown.value ? audit.shown.value : audit.all;
      const name = `llavaguard-audit-${new Date().toISOString().slice(0, 10)}.${ENDINGS[kind]}`;
      const content = await make(kind, rows);
      saveFile(name, content, content.type);
      saved.value = name;
      if (!onlyShown.value) audit.exported();
    } catch (thrown) {
      error.value = thrown;
    } finally {
      busy.value = false;
    }
  };
  return (
    <section class="card" id="audit-export" aria-labelledby="audit-export-heading">
      <div class="card-head">
        <h2 id="audit-export-heading">{text.heading}</h2>
        <Check
          id="audit-only-shown"
          checked={onlyShown.value}
          onChange={(only) => {
            onlyShown.value = only;
          }}
        >
          {text.onlyShown}
        </Check>
      </div>
      <div class="audit-buttons">
        {(['csv', 'jsonl', 'report'] as const).map((kind) => (
          <button
            key={kind}
            class="button"
            id={`audit-export-${kind}`}
            type="button"
            disabled={busy.value}
            onClick={() => void take(kind)}
          >
            {text[kind]}
          </button>
        ))}
      </div>
      <p class="quiet">{text.lead}</p>
      <p class="quiet" id="audit-saved" role="status">
        {busy.value ? text.making : saved.value !== undefined && text.saved(saved.value)}
      </p>
      <ErrorMessage error={error.value} />
    </section>
  );
}

async function make(kind: Kind, rows: readonly Row[]): Promise<Blob> {
  const inForce = audit.inForce.value;
  const records = rows.map((row) => recordOf(row, inForce));
  if (kind === 'csv') return new Blob([csv(records)], { type: 'text/csv' });
  if (kind === 'jsonl') return new Blob([jsonLines(records)], { type: 'application/jsonl' });
  const counted = tally(rows, inForce.thresholds);
  const categories = charted(counted.categories);
  const charts =
    categories.length > 0
      ? await drawCharts(categories, { ...strings.value.audit.charts, percent }, CHART_WIDTH)
      : undefined;
  return report(
    {
      date: new Date(),
      tally: counted,
      records: rows.map((row, at) => ({
        record: records[at] ?? recordOf(row, inForce),
        thumbnail: row.thumbnail,
      })),
      charts: charts && { counts: charts.counts.outerHTML, shares: charts.shares.outerHTML },
    },
    reportTexts(),
  );
}

function reportTexts(): ReportTexts {
  const { audit: text, verdict } = strings.value;
  const dates = new Intl.DateTimeFormat(language.value, { dateStyle: 'long', timeStyle: 'short' });
  const { columns, charts, filters, row } = text;
  return {
    ...text.report,
    language: language.value,
    sentence: (error) => withoutMarks(sentenceOf(error)),
    made: (date) => text.report.made(dates.format(date)),
    summary: (found) => {
      const counts = [found.total, found.unsafe, found.safe, found.failed, found.waiting].map(
        whole,
      );
      const [total = '', unsafe = '', safe = '', failed = '', waiting = ''] = counts;
      const { confirmed, overruled } = found;
      return [
        text.report.summary(total, unsafe, safe, failed, waiting),
        confirmed + overruled > 0 ? text.report.reviewed(whole(confirmed), whole(overruled)) : '',
      ].join(' ');
    },
    category: columns.category,
    pictures: charts.count,
    unsafe: charts.unsafe,
    share: charts.share,
    picture: columns.path,
    rating: columns.rating,
    probability: columns.probability,
    review: columns.review,
    notJudged: text.counts.waiting,
    couldNotBeJudged: row.failed,
    ratingName: (rating) => verdict.ratings[rating],
    reviewName: (state) => filters.reviews[state],
    percent,
  };
}
