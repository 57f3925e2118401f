import { computed, signal } from '@preact/signals';
import type { Assessment, GuardSession, Progress, Verdict } from 'llavaguard';

import { engine, isSetback, type Setback } from '../shared/engine.js';

/** Where a judgement is. What is `failed` could not be judged, which never means Safe. */
export type Phase = 'empty' | 'waiting' | 'stopped' | 'working' | 'done' | 'failed';

/** What the engine is at. */
export type Step = 'open' | 'vision' | 'prefill' | 'decode';

/** The verdict on the picture under one policy, as it comes about. */
export class Judgement {
  readonly #phase = signal<Phase>('empty');
  readonly #step = signal<Step>('open');
  readonly #setback = signal<Setback | undefined>(undefined);
  readonly #share = signal<number | undefined>(undefined);
  readonly #verdict = signal<Verdict | undefined>(undefined);
  readonly #rationale = signal('');
  readonly #assessment = signal<Assessment | undefined>(undefined);
  readonly #error = signal<unknown>(undefined);
  #judging = new AbortController();

  readonly phase = computed(() => this.#phase.value);
  readonly step = computed(() => this.#step.value);
  /** Why it has begun anew, until its next step. */
  readonly setback = computed(() => this.#setback.value);
  /** How much of the step is done, from 0 to 1, where that is known. */
  readonly share = computed(() => this.#share.value);
  /** Stands before the rationale is written. */
  readonly verdict = computed(() => this.#verdict.value);
  /** What is written of it. */
  readonly rationale = computed(() => this.#rationale.value);
  /** The whole, once it is done. */
  readonly assessment = computed(() => this.#assessment.value);
  readonly error = computed(() => this.#error.value);

  /** Gives up what is under way and says so; an old verdict must not be taken for a new one. */
  rest(phase: 'empty' | 'waiting' | 'stopped'): void {
    this.#judging.abort();
    this.#clear(phase);
  }

  /** Judges a session's picture; what was under way is given up. Gives whether it came to its end. */
  async run(session: () => Promise<GuardSession>, policy: string): Promise<boolean> {
    this.#judging.abort();
    const judging = new AbortController();
    this.#judging = judging;
    const { signal } = judging;
    this.#clear('working');
    try {
      const assessment = await engine.use(async () => {
        const open = await session();
        signal.throwIfAborted();
        return open.judge({
          policy,
          signal,
          onProgress: (progress) => {
            engine.hear(progress);
            if (!signal.aborted) this.progress(progress);
          },
          onVerdict: (verdict) => {
            if (!signal.aborted) this.#verdict.value = verdict;
          },
          onToken: (text) => {
            if (!signal.aborted) this.#rationale.value += text;
          },
        });
      });
      if (signal.aborted) return false;
      this.#assessment.value = assessment;
      this.#verdict.value = assessment;
      this.#rationale.value = assessment.rationale ?? '';
      this.#phase.value = 'done';
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      this.#clear('failed');
      this.#error.value = error;
      return false;
    }
  }

  /** Notes how far it is. */
  progress(progress: Progress): void {
    const { stage } = progress;
    if (isSetback(progress)) {
      // What was shown of the answer begins anew.
      this.#verdict.value = undefined;
      this.#rationale.value = '';
      this.#setback.value = progress;
      this.#share.value = undefined;
    } else if (stage === 'vision' || stage === 'prefill' || stage === 'decode') {
      this.#setback.value = undefined;
      this.#step.value = stage;
      // How long the rationale will be is not known, only how long it may be.
      const known = stage !== 'decode' && progress.total > 0;
      this.#share.value = known ? progress.done / progress.total : undefined;
    }
  }

  #clear(phase: Phase): void {
    this.#phase.value = phase;
    this.#step.value = 'open';
    this.#setback.value = undefined;
    this.#share.value = undefined;
    this.#verdict.value = undefined;
    this.#rationale.value = '';
    this.#assessment.value = undefined;
    this.#error.value = undefined;
  }
}
