import type { Assessment } from 'llavaguard';

import type { Failure } from '../shared/error-text.js';
import { fileOf, type Row } from './row.js';
import type { Rows } from './rows.js';
import { TimeLeft } from './time-left.js';

/** What the queue does, for people to see. */
export type QueueState = 'idle' | 'running' | 'paused' | 'stopped';

/** What the queue needs of the page. */
export interface Outside {
  /** Judges one file; rejects with the signal's reason when aborted. */
  judge: (file: Blob, signal: AbortSignal) => Promise<Assessment>;
  /** Told of a row just before it is judged, to make its small picture meanwhile. */
  onTurn?: (row: Row) => void;
  /** An error as a code and the words it came with. */
  show: (error: unknown) => Failure;
  /** Told when state or error have changed. */
  onChange: () => void;
  /** Milliseconds. */
  now?: () => number;
}

/** Errors that are about the engine and not about the picture: the next one would meet them too. */
function concernsAll(code: string): boolean {
  return (
    /^(guard|build|model|policy|store|manifest)\.|^page\.no_model$/.test(code)
    || code === 'engine.crashed'
  );
}

/**
 * Judges the waiting rows one after the other. The engine is one, so more at once would gain
 * nothing, and this way a pause costs the work on one picture at most.
 */
export class Queue {
  readonly #rows: Rows;
  readonly #outside: Outside;
  readonly #times: TimeLeft;
  #state: QueueState = 'idle';
  #error: Failure | undefined;
  #running = new AbortController();

  constructor(rows: Rows, outside: Outside) {
    this.#rows = rows;
    this.#outside = outside;
    this.#times = new TimeLeft();
  }

  get state(): QueueState {
    return this.#state;
  }

  /** Why it stopped by itself. */
  get error(): Failure | undefined {
    return this.#error;
  }

  /** Milliseconds until all waiting rows are judged, at the pace of the last ones. */
  get millisecondsLeft(): number | undefined {
    return this.#state === 'running' ? this.#times.left(this.#rows.left) : undefined;
  }

  /** Begins, or goes on after a pause. */
  start(): void {
    if (this.#state === 'running') return;
    this.#running = new AbortController();
    this.#set('running');
    void this.#run(this.#running.signal);
  }

  /** Gives up the picture under way, which is judged anew when it goes on. */
  pause(): void {
    if (this.#state !== 'running') return;
    this.#running.abort();
    this.#set('paused');
  }

  /** Ends it, with all that is under way. */
  reset(): void {
    this.#running.abort();
    this.#times.forget();
    this.#set('idle');
  }

  /** What was measured says nothing of another model or detail. */
  forgetTimes(): void {
    this.#times.forget();
  }

  #set(state: QueueState, error?: Failure): void {
    this.#state = state;
    this.#error = error;
    this.#outside.onChange();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const now = this.#outside.now ?? (() => performance.now());
    for (;;) {
      const row = this.#rows.take();
      if (!row) break;
      const start = now();
      const error = await this.#judge(row, signal);
      // Whoever aborted has said what state it is in now.
      if (signal.aborted) return;
      if (error) {
        this.#set('stopped', error);
        return;
      }
      this.#times.took(now() - start);
    }
    this.#set('idle');
  }

  /** Judges a row; gives the error where going on makes no sense. */
  async #judge(row: Row, signal: AbortSignal): Promise<Failure | undefined> {
    try {
      const file = await fileOf(row);
      signal.throwIfAborted();
      this.#outside.onTurn?.(row);
      this.#rows.judged(row, await this.#outside.judge(file, signal));
      return undefined;
    } catch (error) {
      if (signal.aborted) {
        this.#rows.putBack(row);
        return undefined;
      }
      const shown = this.#outside.show(error);
      if (!concernsAll(shown.code)) {
        this.#rows.failed(row, shown);
        return undefined;
      }
      // What crashed the engine may have been this very picture: it must not be tried for ever.
      if (shown.code === 'engine.crashed') this.#rows.failed(row, shown);
      else this.#rows.putBack(row);
      return shown;
    }
  }
}
