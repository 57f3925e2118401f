import { batch, computed, effect, signal, untracked } from '@preact/signals';
import type { Detail, GuardSession, LlavaGuard } from 'llavaguard';

import { type PagePolicy, policy } from '../policy/policy-store.js';
import { engine } from '../shared/engine.js';
import type { Picture } from '../shared/pictures.js';
import { Judgement } from './judgement.js';

/** A policy the picture is judged by as well, so that two verdicts stand side by side. */
export interface Comparison {
  /** What it was chosen as: a preset's id, or `kept`. */
  choice: string;
  name: string;
  policy: PagePolicy;
}

/** What a session was opened for. */
interface Opened {
  guard: LlavaGuard;
  picture: Picture;
  detail: Detail;
}

/**
 * Keeps the verdicts on the page true to picture, policy, detail and model: whatever changes, the work
 * under way is given up and the picture judged anew. The picture is looked at once; a changed policy
 * costs its own tokens alone.
 */
class JudgeStore {
  readonly #picture = signal<Picture | undefined>(undefined);
  readonly #comparison = signal<Comparison | undefined>(undefined);
  #opened: Opened | undefined;
  #session: Promise<GuardSession> | undefined;
  #opening = new AbortController();

  /** How closely the picture is looked at. */
  readonly detail = signal<Detail>('auto');
  readonly picture = computed(() => this.#picture.value);
  readonly comparison = computed(() => this.#comparison.value);
  /** Under the policy in force. */
  readonly main = new Judgement();
  /** Under the policy to compare with. */
  readonly other = new Judgement();

  constructor() {
    // Each of these four asks for another verdict.
    effect(() => {
      const subjects = [this.#picture.value, this.detail.value, engine.guard.value];
      const document = policy.description.value?.document;
      if (subjects[0]) untracked(() => void this.#judge(document));
    });
    effect(() => {
      const comparison = this.#comparison.value;
      untracked(() => {
        if (!comparison) this.other.rest('empty');
        else if (this.main.phase.value === 'done') void this.#judgeOther();
        else this.other.rest('waiting');
      });
    });
    // A load may end without a model: whoever waits for one has to know.
    effect(() => {
      if (engine.state.value !== 'loading' && !engine.guard.value) {
        untracked(() => {
          if (this.#picture.value) void this.#judge(undefined);
        });
      }
    });
  }

  /** Takes a picture; it is judged at once. */
  show(picture: Picture): void {
    this.#picture.value = picture;
  }

  /** Compares with another policy, or no longer. */
  compareWith(comparison: Comparison | undefined): void {
    this.#comparison.value = comparison;
  }

  /** Judges the picture once more. */
  again(): void {
    void this.#judge(policy.description.value?.document);
  }

  /** Gives up the work under way. */
  stop(): void {
    this.#forgetSession();
    batch(() => {
      this.main.rest('stopped');
      this.other.rest('empty');
    });
  }

  async #judge(document: string | undefined): Promise<void> {
    if (this.#comparison.value) this.other.rest('waiting');
    if (!this.#picture.value) return;
    if (!engine.guard.value || document === undefined) {
      this.main.rest('waiting');
      return;
    }
    const session = this.#sessionFor();
    if (await this.main.run(session, document)) await this.#judgeOther();
    else if (this.main.phase.value === 'failed') this.#forgetSession();
  }

  async #judgeOther(): Promise<void> {
    const comparison = this.#comparison.value;
    if (!comparison || !engine.guard.value) return;
    await this.other.run(this.#sessionFor(), JSON.stringify(comparison.policy.document));
  }

  /** Gives the picture's session, which is opened where there is none for it yet. */
  #sessionFor(): () => Promise<GuardSession> {
    const guard = engine.guard.value;
    const picture = this.#picture.value;
    const detail = this.detail.value;
    if (!guard || !picture) throw new Error('there is nothing to open a session for');
    const { guard: before, picture: shown, detail: level } = this.#opened ?? {};
    if (before !== guard || shown !== picture || level !== detail) this.#forgetSession();
    this.#opened = { guard, picture, detail };
    return () => {
      this.#session ??= this.#open(this.#opened ?? { guard, picture, detail });
      return this.#session;
    };
  }

  #open({ guard, picture, detail }: Opened): Promise<GuardSession> {
    this.#opening = new AbortController();
    return guard.session(picture.file, {
      detail,
      signal: this.#opening.signal,
      onProgress: (progress) => {
        engine.hear(progress);
        this.main.progress(progress);
      },
    });
  }

  #forgetSession(): void {
    this.#opening.abort();
    this.#session?.then((session) => session.close()).catch(() => undefined);
    this.#session = undefined;
    this.#opened = undefined;
  }
}

export const judge = new JudgeStore();
