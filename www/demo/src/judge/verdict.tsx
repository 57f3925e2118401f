import { policy } from '../policy/policy-store.js';
import { decide } from '../policy/thresholds.js';
import { strings } from '../strings/index.js';
import { judge } from './judge-store.js';
import { VerdictSummary } from './verdict-summary.js';

/** The verdict under the policy in force, as far as it stands. */
export function Verdict() {
  const verdict = judge.main.verdict.value;
  if (!verdict) return null;
  const { thresholds } = policy.current.value;
  const name = policy.description.value?.name ?? '';
  return (
    <div class="verdict-body" id="verdict" data-rating={decide(verdict, thresholds).rating}>
      {judge.comparison.value && <h3>{strings.value.verdict.under(name)}</h3>}
      <VerdictSummary judgement={judge.main} verdict={verdict} thresholds={thresholds} />
    </div>
  );
}
