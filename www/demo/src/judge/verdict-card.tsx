import { ErrorMessage } from '../shared/error-message.js';
import { engine } from '../shared/engine.js';
import { setbackText } from '../shared/engine-text.js';
import { strings } from '../strings/index.js';
import { ComparisonChooser } from './comparison-chooser.js';
import { judge } from './judge-store.js';
import type { Judgement, Phase } from './judgement.js';
import { OtherVerdict } from './other-verdict.js';
import { Verdict } from './verdict.js';
import { VerdictDetails } from './verdict-details.js';

/** The verdict, or what there is instead of one; beside it that under another policy. */
export function VerdictCard() {
  const { verdict: text } = strings.value;
  const { main } = judge;
  const phase = main.phase.value;
  const assessment = main.assessment.value;
  const again = phase === 'stopped' || phase === 'failed';
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
        {again && engine.guard.value && (
          <button
            class="button small"
            id="again"
            type="button"
            onClick={() => {
              judge.again();
            }}
          >
            {text.again}
          </button>
        )}
      </div>
      <p id="result-status" role="status" class={statusClass(phase)}>
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
      <div class="verdicts" data-two={judge.comparison.value !== undefined}>
        <Verdict />
        <OtherVerdict />
      </div>
      {assessment && <VerdictDetails assessment={assessment} />}
      {judge.picture.value && <ComparisonChooser />}
    </section>
  );
}

/** Once it is done the columns say it, where there are two. */
function statusClass(phase: Phase): string | undefined {
  if (phase !== 'done') return undefined;
  return judge.comparison.value ? 'visually-hidden' : 'quiet';
}

/** What a judgement is at. */
function statusText({ phase, step, setback, assessment }: Judgement): string {
  const { verdict: text } = strings.value;
  switch (phase.value) {
    case 'working':
      return setback.value ? setbackText(setback.value) : text.steps[step.value];
    case 'done':
      return text.under(assessment.value?.policy_name ?? '');
    case 'waiting':
      return engine.state.value === 'loading' ? text.phases.waiting : text.phases.noModel;
    default:
      return text.phases[phase.value];
  }
}
