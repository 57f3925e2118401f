import type { Assessment, Progress, Verdict } from 'llavaguard';

import { element, showText } from './dom.js';
import { errorCode, errorText } from './error-text.js';

const STAGES: Record<string, string> = {
  vision: 'Looking at the photo…',
  prefill: 'Reading the policy…',
  decode: 'Writing the reason…',
};

const percent = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 1 });
const count = new Intl.NumberFormat('en');

/** The card that shows the assessment as it comes about. */
export class ResultPanel {
  readonly #card = element('result', HTMLElement);
  readonly #status = element('result-status', HTMLParagraphElement);
  readonly #progress = element('result-progress', HTMLProgressElement);
  readonly #error = element('result-error', HTMLParagraphElement);
  readonly #stop = element('stop', HTMLButtonElement);
  readonly #verdict = element('verdict', HTMLDivElement);
  readonly #rating = element('rating', HTMLSpanElement);
  readonly #category = element('category', HTMLSpanElement);
  readonly #probability = element('probability', HTMLOutputElement);
  readonly #bar = element('bar', HTMLDivElement);
  readonly #fill = element('bar-fill', SVGRectElement);
  readonly #rationale = element('rationale', HTMLParagraphElement);
  readonly #complete = element('complete', HTMLDivElement);
  readonly #facts = element('facts', HTMLDListElement);
  readonly #json = element('json', HTMLPreElement);

  constructor(onStop: () => void) {
    this.#stop.addEventListener('click', onStop);
  }

  /** Nothing is known yet; an old verdict must not be taken for the new one. */
  waiting(text: string): void {
    this.#state('waiting', text);
    this.#verdict.hidden = true;
  }

  /** The engine is at work. */
  working(): void {
    this.#state('working', 'Reading the photo…');
    this.#progress.hidden = false;
    this.#progress.removeAttribute('value');
    this.#stop.hidden = false;
    this.#verdict.hidden = true;
    this.#complete.hidden = true;
    this.#rationale.textContent = '';
  }

  progress(progress: Progress): void {
    if (progress.stage === 'fallback' || progress.stage === 'retry') {
      // What was shown of the answer begins anew.
      this.#verdict.hidden = true;
      this.#rationale.textContent = '';
      this.#status.textContent =
        progress.stage === 'retry'
          ? 'The GPU failed. Trying it once more…'
          : 'The GPU failed. Going on with the CPU…';
      return;
    }
    if (progress.stage === 'load') return;
    const text = STAGES[progress.stage];
    if (text !== undefined && this.#status.textContent !== text) this.#status.textContent = text;
    // How long the rationale will be is not known, only how long it may be.
    if (progress.stage === 'decode') this.#progress.removeAttribute('value');
    else if (progress.total > 0) this.#progress.value = progress.done / progress.total;
  }

  verdict({ rating, category, unsafe_probability: probability }: Verdict): void {
    this.#card.dataset['rating'] = rating;
    this.#rating.textContent = rating;
    this.#category.textContent = category.name;
    this.#probability.textContent = percent.format(probability);
    this.#bar.setAttribute('aria-valuenow', (100 * probability).toFixed(1));
    this.#fill.setAttribute('width', String(100 * probability));
    this.#verdict.hidden = false;
  }

  token(text: string): void {
    this.#rationale.append(text);
  }

  done(assessment: Assessment): void {
    this.#state('done', `Judged under "${assessment.policy_name}".`);
    this.verdict(assessment);
    this.#rationale.textContent =
      (assessment.rationale ?? '') + (assessment.rationale_truncated ? ' …' : '');
    this.#facts.replaceChildren(...facts(assessment).flatMap(([name, value]) => pair(name, value)));
    this.#json.textContent = JSON.stringify(assessment, null, 2);
    this.#complete.hidden = false;
  }

  /** Could not be judged: never shown as safe. */
  failed(error: unknown): void {
    this.#state('failed', 'Not judged.');
    this.#verdict.hidden = true;
    this.#error.dataset['code'] = errorCode(error);
    showText(this.#error, errorText(error));
  }

  #state(state: 'waiting' | 'working' | 'done' | 'failed', text: string): void {
    this.#card.dataset['state'] = state;
    delete this.#card.dataset['rating'];
    this.#status.textContent = text;
    this.#progress.hidden = true;
    this.#stop.hidden = true;
    showText(this.#error, undefined);
  }
}

function facts({ detail, tokens, timings_ms: time, model_id }: Assessment): [string, string][] {
  const tiles = detail.tiles === 1 ? '1 tile' : `${detail.tiles} tiles`;
  return [
    ['Detail', `${detail.level}: ${tiles}, ${count.format(detail.visual_tokens)} visual tokens`],
    ['Photo decoded and cut', seconds(time.decode_image + time.preprocess)],
    ['Vision tower', seconds(time.vision)],
    [`Prompt of ${count.format(tokens.visual + tokens.prompt)} tokens`, seconds(time.prefill)],
    ['Verdict', seconds(time.verdict)],
    ['Rationale', seconds(time.rationale)],
    ['Total', seconds(time.total)],
    ['Model', model_id],
  ];
}

function seconds(milliseconds: number): string {
  return milliseconds < 1000
    ? `${milliseconds.toFixed(0)} ms`
    : `${(milliseconds / 1000).toFixed(2)} s`;
}

function pair(name: string, value: string): [HTMLElement, HTMLElement] {
  const term = document.createElement('dt');
  const description = document.createElement('dd');
  term.textContent = name;
  description.textContent = value;
  return [term, description];
}
