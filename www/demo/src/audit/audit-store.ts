import { batch, computed, effect, signal } from '@preact/signals';
import type { Assessment, Detail, Rating } from 'llavaguard';

import { policy } from '../policy/policy-store.js';
import { engine } from '../shared/engine.js';
import { failureOf } from '../shared/error-text.js';
import type { Choice } from './folder.js';
import { Queue } from './queue.js';
import { modelRating, type Row } from './row.js';
import { isStale, Rows } from './rows.js';
import { tally } from './tally.js';
import { Thumbnails } from './thumbnail.js';
import { type Filter, type InForce, SHOW_ALL, type Sort, view } from './view.js';

/** What became of the last choice of files, beside its pictures. */
export interface LeftOut {
  known: number;
  others: string[];
  unreadable: string[];
}

/**
 * The audit of the page. Its rows are plain objects, of which there may be thousands; what is shown of
 * them is computed anew once a frame at most.
 */
class AuditStore {
  readonly #rows = new Rows(() => {
    this.#touch();
  });
  readonly #thumbnails = new Thumbnails(this.#rows);
  readonly #queue = new Queue(this.#rows, {
    judge: (file, aborted) => this.#judge(file, aborted),
    onTurn: (row) => {
      this.#thumbnails.want(row);
    },
    show: failureOf,
    onChange: () => {
      this.#touch();
    },
  });
  readonly #version = signal(0);
  /** Rows and queue are no signals; what is computed from them follows this. */
  readonly #fresh = computed(() => ({
    version: this.#version.value,
    rows: this.#rows,
    queue: this.#queue,
  }));
  readonly #selected = signal<Row | undefined>(undefined);
  readonly #leftOut = signal<LeftOut | undefined>(undefined);
  readonly #unsaved = signal(false);
  #frame: number | undefined;

  /** How closely pictures are looked at. */
  readonly detail = signal<Detail>('auto');
  /** Whether reasons are written, which takes longer. */
  readonly reasons = signal(false);
  readonly filter = signal<Filter>(SHOW_ALL);
  readonly sort = signal<Sort>({ key: 'added', descending: false });
  /** Whether pictures that are Unsafe are blurred. */
  readonly blur = signal(true);

  /** The one picture that is shown although it would be blurred. */
  readonly revealed = signal<Row | undefined>(undefined);

  /** What ratings and staleness depend on. */
  readonly inForce = computed<InForce>(() => {
    const policyId = policy.description.value?.id;
    const modelId = engine.running.value?.info.model_id;
    const present =
      policyId === undefined || modelId === undefined
        ? undefined
        : { policyId, modelId, detail: this.detail.value };
    return { thresholds: policy.current.value.thresholds, present };
  });
  /** The rows to show, in order. */
  readonly shown = computed(() =>
    view([...this.#fresh.value.rows.all], this.filter.value, this.sort.value, this.inForce.value),
  );
  readonly tally = computed(() => tally(this.#fresh.value.rows.all, this.inForce.value.thresholds));
  /** Rows whose assessment is of another policy, model or detail. */
  readonly stale = computed(() =>
    this.#fresh.value.rows.all.filter(
      (row) => row.state === 'judged' && isStale(row, this.inForce.value.present),
    ),
  );
  readonly failed = computed(() =>
    this.#fresh.value.rows.all.filter(({ state }) => state === 'failed'),
  );
  /** Rows that wait or are being judged. */
  readonly left = computed(() => this.#fresh.value.rows.left);
  /** What the queue does, with the time left where that can be told. */
  readonly work = computed(() => {
    const { state, error, millisecondsLeft } = this.#fresh.value.queue;
    return { state, error, millisecondsLeft };
  });
  /** The row that is looked at; it may be hidden by a filter meanwhile. Changes whenever a row does. */
  readonly selected = computed(() => ({
    row: this.#selected.value,
    version: this.#version.value,
  }));
  readonly leftOut = computed(() => this.#leftOut.value);
  /** Whether there is anything that was not exported. */
  readonly unsaved = computed(() => this.#unsaved.value);

  constructor() {
    // The browser asks whether the page may be left while there is something to lose.
    effect(() => {
      if (this.#unsaved.value) addEventListener('beforeunload', ask);
      else removeEventListener('beforeunload', ask);
    });
    // What was measured says nothing of another model or detail.
    computed(() => [engine.running.value, this.detail.value, this.reasons.value]).subscribe(() => {
      this.#queue.forgetTimes();
    });
  }

  /** All rows, as they came. */
  get all(): readonly Row[] {
    return this.#rows.all;
  }

  /** Adds pictures and begins, or goes on, unless the user has paused. */
  add({ pictures, others, unreadable }: Choice): void {
    const added = this.#rows.add(pictures);
    const known = pictures.length - added;
    const nothing = known + others.length + unreadable.length === 0;
    this.#leftOut.value = nothing ? undefined : { known, others, unreadable };
    if (added > 0 && this.#queue.state !== 'paused') this.start();
  }

  start(): void {
    this.#queue.start();
  }

  pause(): void {
    this.#queue.pause();
  }

  /** Forgets all pictures and what was said of them. */
  clear(): void {
    batch(() => {
      this.#thumbnails.clear();
      this.#rows.clear();
      this.#queue.reset();
      this.#selected.value = undefined;
      this.#leftOut.value = undefined;
      this.#unsaved.value = false;
      this.filter.value = SHOW_ALL;
    });
  }

  /** Has rows judged again, at once. */
  again(rows: readonly Row[]): void {
    this.#rows.again(rows.filter(({ state }) => state === 'judged' || state === 'failed'));
    this.start();
  }

  select(row: Row | undefined): void {
    this.#selected.value = row;
  }

  /** Asks for a row's small picture. */
  wantThumbnail(row: Row): void {
    this.#thumbnails.want(row);
  }

  /** Agrees with what the model says; nothing where it says nothing. */
  confirm(row: Row): boolean {
    const rating = modelRating(row, this.inForce.value.thresholds);
    if (rating) this.rate(row, rating);
    return rating !== undefined;
  }

  /** Says the opposite of the model. */
  overrule(row: Row): boolean {
    const rating = modelRating(row, this.inForce.value.thresholds);
    if (rating) this.rate(row, rating === 'Safe' ? 'Unsafe' : 'Safe');
    return rating !== undefined;
  }

  /** Sets what counts for a row. */
  rate(row: Row, rating: Rating): void {
    this.#rows.review(row, rating);
    this.#unsaved.value = true;
  }

  /** Notes something about a row, reviewed or not. */
  note(row: Row, note: string): void {
    this.#rows.note(row, note);
    this.#unsaved.value = true;
  }

  /** Takes a review back. */
  takeBack(row: Row): void {
    this.#rows.review(row, undefined);
  }

  /** Told when an export was handed to the browser. */
  exported(): void {
    this.#unsaved.value = false;
  }

  /** A hidden tab has no frames, but its audit goes on. */
  #touch(): void {
    if (this.#frame !== undefined) return;
    this.#frame = 1;
    const show = () => {
      this.#frame = undefined;
      this.#version.value++;
    };
    if (document.hidden) setTimeout(show, 200);
    else requestAnimationFrame(show);
  }

  async #judge(file: Blob, aborted: AbortSignal): Promise<Assessment> {
    for (;;) {
      await engineSettled(aborted);
      const before = engine.guard.value;
      try {
        const assessment = await engine.use((guard) =>
          guard.assess(file, {
            // Where there is an engine the policy in force is known by now.
            policy: policy.description.value?.document ?? '',
            detail: this.detail.value,
            rationale: this.reasons.value,
            // What is asked for under Judge meanwhile comes first.
            priority: 'background',
            signal: aborted,
            onProgress: engine.hear,
          }),
        );
        this.#unsaved.value = true;
        return assessment;
      } catch (error) {
        // Another model or build has taken its place: the picture is judged by that.
        const replaced = engine.guard.value !== undefined && engine.guard.value !== before;
        if (failureOf(error).code !== 'guard.disposed' || !replaced) throw error;
      }
    }
  }
}

/** Waits while a model is loading, or its policy being checked. */
async function engineSettled(aborted: AbortSignal): Promise<void> {
  const settled = computed(
    () =>
      engine.state.value !== 'loading'
      && (!engine.guard.value || policy.description.value !== undefined),
  );
  if (settled.value) return;
  await new Promise<void>((resolve) => {
    const stop = settled.subscribe((now) => {
      if (now) end();
    });
    const end = () => {
      aborted.removeEventListener('abort', end);
      stop();
      resolve();
    };
    aborted.addEventListener('abort', end);
  });
  aborted.throwIfAborted();
}

function ask(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

export const audit = new AuditStore();
