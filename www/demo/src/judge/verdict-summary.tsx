import type { Verdict } from 'llavaguard';
import type { ComponentChildren } from 'preact';

import { type Decision, decide, type Thresholds } from '../policy/thresholds.js';
import { percent } from '../shared/format.js';
import { strings } from '../strings/index.js';
import type { Judgement } from './judgement.js';
import { ProbabilityScale } from './probability-scale.js';

interface Props {
  judgement: Judgement;
  verdict: Verdict;
  thresholds: Thresholds;
  /** Stands before the ids of its parts, where a second verdict is on the page. */
  prefix?: string;
  /** What stands below the reason. */
  children?: ComponentChildren;
}

/** Rating, category, probability and reason, as far as they stand. */
export function VerdictSummary({ judgement, verdict, thresholds, prefix = '', children }: Props) {
  const { verdict: text } = strings.value;
  const decision = decide(verdict, thresholds);
  return (
    <>
      <p class="verdict" aria-live="polite">
        <span class="badge" id={`${prefix}rating`}>
          {text.ratings[decision.rating]}
        </span>
        <span class="verdict-category" id={`${prefix}category`} lang="en">
          {verdict.category.name}
        </span>
      </p>
      {decision.overruled && <Overruled decision={decision} id={`${prefix}overruled`} />}
      <ProbabilityScale
        id={`${prefix}probability`}
        probability={verdict.unsafe_probability}
        threshold={decision.threshold}
      />
      <div>
        <h3>{text.why}</h3>
        <Rationale judgement={judgement} id={`${prefix}rationale`} />
        {children}
      </div>
    </>
  );
}

/** Says where the page's threshold decides otherwise than the model. */
function Overruled({ decision, id }: { decision: Decision; id: string }) {
  const { verdict: text } = strings.value;
  return (
    <p class="overruled" id={id}>
      {text.overruled(percent(decision.threshold), text.ratings[decision.modelRating])}
    </p>
  );
}

/** The model's words; announced once they are whole, not piece by piece. */
function Rationale({ judgement, id }: { judgement: Judgement; id: string }) {
  const writing = judgement.phase.value === 'working';
  return (
    <p class="rationale" id={id} lang="en" aria-live="polite" aria-busy={writing}>
      {judgement.rationale.value}
      {judgement.assessment.value?.rationale_truncated ? ' …' : ''}
    </p>
  );
}
