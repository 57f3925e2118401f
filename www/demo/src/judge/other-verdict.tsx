import { decide } from '../policy/thresholds.js';
import { ErrorMessage } from '../shared/error-message.js';
import { strings } from '../strings/index.js';
import { judge } from './judge-store.js';
import { ProbabilityScale } from './probability-scale.js';
import { Overruled, Rationale } from './verdict.js';

/** The verdict on the same picture under the policy that is compared with. */
export function OtherVerdict() {
  const comparison = judge.comparison.value;
  const { other } = judge;
  const phase = other.phase.value;
  if (!comparison || phase === 'empty') return null;
  const { verdict: text } = strings.value;
  const verdict = other.verdict.value;
  const decision = verdict && decide(verdict, comparison.policy.thresholds);
  return (
    <div
      class="verdict-body other"
      id="other-verdict"
      data-state={phase}
      data-rating={decision?.rating}
      role="group"
      aria-labelledby="other-heading"
    >
      <h3 id="other-heading">{text.under(comparison.name)}</h3>
      {!verdict && phase !== 'failed' && <p class="quiet">{text.otherWaits}</p>}
      <ErrorMessage id="other-error" error={other.error.value} />
      {verdict && decision && (
        <>
          <p class="verdict">
            <span class="badge" id="other-rating">
              {text.ratings[decision.rating]}
            </span>
            <span class="verdict-category" lang="en">
              {verdict.category.name}
            </span>
          </p>
          <Overruled decision={decision} />
          <ProbabilityScale
            id="other-probability"
            probability={verdict.unsafe_probability}
            threshold={decision.threshold}
          />
          <div>
            <h4>{text.why}</h4>
            <Rationale judgement={other} id="other-rationale" />
          </div>
        </>
      )}
    </div>
  );
}
