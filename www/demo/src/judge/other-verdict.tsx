import { decide } from '../policy/thresholds.js';
import { ErrorMessage } from '../shared/error-message.js';
import { strings } from '../strings/index.js';
import { judge } from './judge-store.js';
import { VerdictSummary } from './verdict-summary.js';

/** The verdict on the same picture under the policy that is compared with. */
export function OtherVerdict() {
  const comparison = judge.comparison.value;
  const { other } = judge;
  const phase = other.phase.value;
  if (!comparison || phase === 'empty') return null;
  const { verdict: text } = strings.value;
  const verdict = other.verdict.value;
  const { thresholds } = comparison.policy;
  return (
    <div
      class="verdict-body other"
      id="other-verdict"
      data-state={phase}
      data-rating={verdict && decide(verdict, thresholds).rating}
      role="group"
      aria-labelledby="other-heading"
    >
      <h3 id="other-heading">{text.under(comparison.name)}</h3>
      {!verdict && phase !== 'failed' && <p class="quiet">{text.otherWaits}</p>}
      <ErrorMessage id="other-error" error={other.error.value} />
      {verdict && (
        <VerdictSummary
          judgement={other}
          verdict={verdict}
          thresholds={thresholds}
          prefix="other-"
        />
      )}
    </div>
  );
}
