import type { Detail, GuardSession, LlavaGuard } from 'llavaguard';

import type { ResultPanel } from './result-panel.js';

/**
 * Keeps the assessment on the page true to photo, policy, detail and model: whatever changes, the
 * work under way is given up and the photo judged anew; a changed policy costs its own tokens alone.
 */
export class Judge {
  readonly #panel: ResultPanel;
  readonly #onJudged: () => void;
  #guard: LlavaGuard | undefined;
  #absent = 'Waiting for the model…';
  #photo: File | undefined;
  #policy: string | undefined;
  #detail: Detail = 'auto';
  #session: Promise<GuardSession> | undefined;
  #opening = new AbortController();
  #judging = new AbortController();

  /** `onJudged` is told after each judgement: another build may have taken over on the way. */
  constructor(panel: ResultPanel, onJudged: () => void) {
    this.#panel = panel;
    this.#onJudged = onJudged;
  }

  /** Takes a loaded model; judging goes on when its policy is set. */
  setGuard(guard: LlavaGuard): void {
    this.#judging.abort();
    this.#forgetSession();
    this.#guard?.dispose();
    this.#guard = guard;
  }

  /** Told that a model was not loaded; one that was loaded before stays in use. */
  guardFailed(): void {
    if (this.#guard) return;
    this.#absent = 'Not judged: there is no model. Load one first.';
    void this.#judge();
  }

  setPhoto(photo: File): void {
    this.#forgetSession();
    this.#photo = photo;
    void this.#judge();
  }

  setDetail(detail: Detail): void {
    this.#forgetSession();
    this.#detail = detail;
    void this.#judge();
  }

  setPolicy(policy: string): void {
    this.#policy = policy;
    void this.#judge();
  }

  /** Gives up the work under way. */
  stop(): void {
    this.#forgetSession();
    this.#judging.abort();
    this.#panel.waiting('Stopped. Choose a photo or change the policy to judge again.');
  }

  #forgetSession(): void {
    this.#opening.abort();
    this.#session?.then((session) => session.close()).catch(() => undefined);
    this.#session = undefined;
  }

  #open(guard: LlavaGuard, photo: File): Promise<GuardSession> {
    this.#opening = new AbortController();
    return guard.session(photo, {
      detail: this.#detail,
      signal: this.#opening.signal,
      onProgress: (progress) => {
        this.#panel.progress(progress);
      },
    });
  }

  async #judge(): Promise<void> {
    this.#judging.abort();
    if (!this.#photo) return;
    if (!this.#guard || this.#policy === undefined) {
      this.#panel.waiting(this.#absent);
      return;
    }
    const judging = new AbortController();
    this.#judging = judging;
    this.#panel.working();
    const current = () => !judging.signal.aborted;
    try {
      this.#session ??= this.#open(this.#guard, this.#photo);
      const session = await this.#session;
      if (!current()) return;
      const assessment = await session.judge({
        policy: this.#policy,
        signal: judging.signal,
        onProgress: (progress) => {
          if (current()) this.#panel.progress(progress);
        },
        onVerdict: (verdict) => {
          if (current()) this.#panel.verdict(verdict);
        },
        onToken: (text) => {
          if (current()) this.#panel.token(text);
        },
      });
      this.#onJudged();
      if (current()) this.#panel.done(assessment);
    } catch (error) {
      if (!current()) return;
      this.#forgetSession();
      this.#panel.failed(error);
    }
  }
}
