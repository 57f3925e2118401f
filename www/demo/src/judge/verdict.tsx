import type { Assessment } from 'llavaguard';

import { policy } from '../policy/policy-store.js';
import { decide } from '../policy/thresholds.js';
import { percent } from '../shared/format.js';
import { strings } from '../strings/index.js';
import type { Judgement } from './judgement.js';

/** Rating, category and reason, as far as they stand. */
export function Verdict({ judgement }: { judgement: Judgement }) {
  const verdict = judgement.verdict.value;
  if (!verdict) return null;
  const { verdict: text } = strings.value;
  const { rating } = decide(verdict, policy.current.value.thresholds);
  return (
    <div id="verdict" data-rating={rating}>
      <p class="verdict" aria-live="polite">
        <span class="badge" id="rating">
          {text.ratings[rating]}
        </span>
        <span id="category">{verdict.category.name}</span>
        <span id="probability">{percent(verdict.unsafe_probability)}</span>
      </p>
      <h3>{text.why}</h3>
      <p class="rationale" id="rationale" lang="en">
        {judgement.rationale.value}
      </p>
      {judgement.assessment.value && <Details assessment={judgement.assessment.value} />}
    </div>
  );
}

function Details({ assessment }: { assessment: Assessment }) {
  const { verdict: text } = strings.value;
  return (
    <details>
      <summary>{text.json}</summary>
      <pre id="json" tabIndex={0} aria-label={text.json}>
        {JSON.stringify({ assessment }, null, 2)}
      </pre>
    </details>
  );
}
