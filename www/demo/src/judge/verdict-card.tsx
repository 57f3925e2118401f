import { ErrorMessage } from '../shared/error-message.js';
import { strings } from '../strings/index.js';
import { judge } from './judge-store.js';
import type { Judgement } from './judgement.js';
import { Verdict } from './verdict.js';

/** The verdict, or what there is instead of one. */
export function VerdictCard() {
  const { verdict: text } = strings.value;
  const { main } = judge;
  const phase = main.phase.value;
  return (
    <section
      class="card"
      id="result"
      data-state={phase}
      aria-labelledby="result-heading"
      aria-busy={phase === 'working'}
    >
      <div class="card-head">
        <h2 id="result-heading">{text.heading}</h2>
        {phase === 'working' && (
          <button
            class="button small"
            id="stop"
            type="button"
            onClick={() => {
              judge.stop();
            }}
          >
            {text.stop}
          </button>
        )}
      </div>
      <p id="result-status" role="status">
        {statusText(main)}
      </p>
      {phase === 'working' && (
        <progress
          id="result-progress"
          max={1}
          value={main.share.value}
          aria-label={text.progress}
        />
      )}
      <ErrorMessage id="result-error" error={main.error.value} />
      <Verdict judgement={main} />
    </section>
  );
}

function statusText({ phase, step, assessment }: Judgement): string {
  const { verdict: text } = strings.value;
  switch (phase.value) {
    case 'working':
      return text.steps[step.value];
    case 'done':
      return text.judgedUnder(assessment.value?.policy_name ?? '');
    default:
      return text.phases[phase.value];
  }
}
