import type { Assessment } from 'llavaguard';
import { useState } from 'preact/hooks';

import { policy } from '../policy/policy-store.js';
import { decide } from '../policy/thresholds.js';
import { duration, whole } from '../shared/format.js';
import { strings } from '../strings/index.js';
import { CategoryBars } from './category-bars.js';

/** How likely each category was, how the verdict came about, and all of it as JSON. */
export function VerdictDetails({ assessment }: { assessment: Assessment }) {
  const { verdict: text } = strings.value;
  return (
    <div class="verdict-details">
      <CategoryBars probabilities={assessment.category_probabilities} />
      <details class="fold" id="facts-fold">
        <summary>
          {text.how} <span class="quiet">{duration(assessment.timings_ms.total)}</span>
        </summary>
        <dl class="facts" id="facts">
          {facts(assessment).map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </details>
      <AsJson assessment={assessment} />
    </div>
  );
}

function facts({ detail, tokens, timings_ms: time, model_id }: Assessment): [string, string][] {
  const { facts: text } = strings.value.verdict;
  return [
    [text.detail, text.detailUsed(detail.level, detail.tiles, whole(detail.visual_tokens))],
    [text.decoded, duration(time.decode_image + time.preprocess)],
    [text.vision, time.vision > 0 ? duration(time.vision) : text.notAgain],
    [text.prompt(whole(tokens.visual), whole(tokens.prompt)), duration(time.prefill)],
    [text.verdict, duration(time.verdict)],
    [text.rationale(whole(tokens.generated)), duration(time.rationale)],
    [text.total, duration(time.total)],
    [text.model, model_id],
  ];
}

function AsJson({ assessment }: { assessment: Assessment }) {
  const { verdict: text } = strings.value;
  const [copied, setCopied] = useState('');
  const { rating, threshold } = decide(assessment, policy.current.value.thresholds);
  const json = JSON.stringify({ decision: { rating, threshold }, assessment }, null, 2);
  const copy = async () => {
    const done = await navigator.clipboard.writeText(json).then(
      () => text.copied,
      () => text.notCopied,
    );
    setCopied(done);
  };
  return (
    <details class="fold" id="json-fold">
      <summary>{text.json}</summary>
      <p class="quiet">{text.jsonMeans}</p>
      <pre id="json" tabIndex={0} lang="en" aria-label={text.json}>
        {json}
      </pre>
      <div class="buttons">
        <button class="button small" id="copy-json" type="button" onClick={() => void copy()}>
          {text.copy}
        </button>
        <span class="quiet" role="status">
          {copied}
        </span>
      </div>
    </details>
  );
}
