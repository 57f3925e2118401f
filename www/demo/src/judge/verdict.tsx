import { policy } from '../policy/policy-store.js';
import { type Decision, decide } from '../policy/thresholds.js';
import { percent } from '../shared/format.js';
import { strings } from '../strings/index.js';
import { judge } from './judge-store.js';
import type { Judgement } from './judgement.js';
import { ProbabilityScale } from './probability-scale.js';

/** Rating, category, probability and reason under the policy in force, as far as they stand. */
export function Verdict({ judgement }: { judgement: Judgement }) {
  const verdict = judgement.verdict.value;
  if (!verdict) return null;
  const { verdict: text } = strings.value;
  const decision = decide(verdict, policy.current.value.thresholds);
  return (
    <div class="verdict-body" id="verdict" data-rating={decision.rating}>
      {judge.comparison.value && <h3>{text.under(policy.description.value?.name ?? '')}</h3>}
      <p class="verdict" aria-live="polite">
        <span class="badge" id="rating">
          {text.ratings[decision.rating]}
        </span>
        <span class="verdict-category" id="category" lang="en">
          {verdict.category.name}
        </span>
      </p>
      <Overruled decision={decision} />
      <ProbabilityScale
        id="probability"
        probability={verdict.unsafe_probability}
        threshold={decision.threshold}
      />
      <div>
        <h4>{text.why}</h4>
        <Rationale judgement={judgement} id="rationale" />
      </div>
    </div>
  );
}

/** Says where the page's threshold decides otherwise than the model. */
export function Overruled({ decision }: { decision: Decision }) {
  const { verdict: text } = strings.value;
  if (!decision.overruled) return null;
  return (
    <p class="overruled" id="overruled">
      {text.overruled(percent(decision.threshold), text.ratings[decision.modelRating])}
    </p>
  );
}

/** The model's words; announced once they are whole, not piece by piece. */
export function Rationale({ judgement, id }: { judgement: Judgement; id: string }) {
  const assessment = judgement.assessment.value;
  const writing = judgement.phase.value === 'working';
  return (
    <p
      class="rationale"
      id={id}
      lang="en"
      aria-live="polite"
      aria-busy={writing}
      data-writing={writing}
    >
      {judgement.rationale.value}
      {assessment?.rationale_truncated ? ' …' : ''}
    </p>
  );
}
