import { showCategory } from '../policy/category-card.js';
import { citedRule } from '../policy/cited-rule.js';
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
      <VerdictSummary judgement={judge.main} verdict={verdict} thresholds={thresholds}>
        <ShowRules />
      </VerdictSummary>
    </div>
  );
}

/** Leads to the rules that the verdict refers to, which may stand far below and be folded away. */
function ShowRules() {
  const cited = citedRule.value;
  if (!cited) return null;
  return (
    <button
      class="add"
      id="show-rules"
      type="button"
      onClick={() => {
        showCategory(cited.category);
      }}
    >
      {strings.value.verdict.showRules(cited.category)}
    </button>
  );
}
