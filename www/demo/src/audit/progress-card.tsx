import { useSignal } from '@preact/signals';

import { engine } from '../shared/engine.js';
import { FailureMessage } from '../shared/error-message.js';
import { whole } from '../shared/format.js';
import { type Strings, strings } from '../strings/index.js';
import { audit } from './audit-store.js';
import { ChoosePictures } from './choose-pictures.js';
import { LeftOut } from './left-out.js';
import { Setup } from './setup.js';

/** How far the audit is, and what can be done about it. */
export function ProgressCard() {
  const { audit: text } = strings.value;
  const { total, waiting } = audit.tally.value;
  const { state, error } = audit.work.value;
  const done = total - audit.left.value;
  return (
    <section class="card" aria-labelledby="audit-heading">
      <div class="card-head">
        <h2 id="audit-heading">{text.heading}</h2>
        <div class="audit-buttons">
          {state === 'running' && (
            <button
              class="button small"
              id="audit-pause"
              type="button"
              onClick={() => {
                audit.pause();
              }}
            >
              {text.pause}
            </button>
          )}
          {state !== 'running' && audit.left.value > 0 && (
            <button
              class="button small"
              id="audit-resume"
              type="button"
              onClick={() => {
                audit.start();
              }}
            >
              {text.resume}
            </button>
          )}
          <Clear />
        </div>
      </div>
      <progress id="audit-progress" max={total} value={done} aria-label={text.progress} />
      <p class="audit-status" id="audit-status" data-done={done} data-waiting={waiting}>
        <strong>{text.done(whole(done), whole(total))}.</strong>{' '}
        <span role="status">{stateText(text)}</span> <span>{leftText(text)}</span>
      </p>
      {error && <FailureMessage id="audit-error" failure={error} alert />}
      <LeftOut />
      <Stale />
      <details class="audit-more">
        <summary>
          {text.add} · {text.setup}
        </summary>
        <ChoosePictures />
        <Setup />
      </details>
    </section>
  );
}

function stateText(text: Strings['audit']): string {
  const { state } = audit.work.value;
  if (state === 'running' && engine.state.value === 'loading') return text.waitingForModel;
  return state === 'idle' && audit.left.value > 0 ? text.states.paused : text.states[state];
}

function leftText(text: Strings['audit']): string {
  const { millisecondsLeft } = audit.work.value;
  if (millisecondsLeft === undefined || audit.left.value === 0) return '';
  const seconds = Math.ceil(millisecondsLeft / 1000);
  const minutes = Math.round(seconds / 60);
  if (seconds < 90) {
    // In steps, so that it can be read.
    return text.timeLeft(
      text.spans.seconds(whole(seconds > 10 ? Math.ceil(seconds / 5) * 5 : seconds)),
    );
  }
  if (minutes < 90) return text.timeLeft(text.spans.minutes(whole(minutes)));
  return text.timeLeft(text.spans.hours(whole(Math.floor(minutes / 60)), whole(minutes % 60)));
}

/** What can be lost is asked about; the focus follows question and answer. */
function Clear() {
  const { audit: text } = strings.value;
  const asking = useSignal(false);
  const kept = useSignal(false);
  const clear = () => {
    audit.clear();
    document.getElementById('content')?.focus();
  };
  if (!asking.value) {
    return (
      <button
        class="button small"
        id="audit-clear"
        type="button"
        ref={kept.value ? focus : null}
        onClick={() => {
          if (audit.unsaved.value) asking.value = true;
          else clear();
        }}
      >
        {text.clear}
      </button>
    );
  }
  return (
    <div class="audit-ask" role="group" aria-label={text.clearAsk}>
      <span>{text.clearAsk}</span>
      <button class="button small" id="audit-clear-yes" type="button" onClick={clear}>
        {text.clearYes}
      </button>
      <button
        class="button small"
        id="audit-clear-no"
        type="button"
        ref={focus}
        onClick={() => {
          asking.value = false;
          kept.value = true;
        }}
      >
        {text.clearNo}
      </button>
    </div>
  );
}

/** Always the same function, so that it is called once for an element. */
function focus(button: HTMLElement | null): void {
  button?.focus();
}

/** Rows of another policy are said to be so, and judged anew only when asked: it may take an hour. */
function Stale() {
  const { audit: text } = strings.value;
  const stale = audit.stale.value;
  const failed = audit.failed.value;
  return (
    <div
      class="audit-notes"
      role="group"
      aria-label={text.notesLabel}
      hidden={stale.length + failed.length === 0}
    >
      {stale.length > 0 && (
        <p id="audit-stale">
          {text.stale(whole(stale.length))}{' '}
          <button
            class="button small"
            type="button"
            onClick={() => {
              audit.again(audit.stale.value);
            }}
          >
            {text.judgeStale}
          </button>
        </p>
      )}
      {failed.length > 0 && (
        <p id="audit-failed">
          {`${text.counts.failed}: ${whole(failed.length)}.`}{' '}
          <button
            class="button small"
            type="button"
            onClick={() => {
              audit.again(audit.failed.value);
            }}
          >
            {text.again(whole(failed.length))}
          </button>
        </p>
      )}
    </div>
  );
}
