import type { FromWorker, Notice } from '../messages.js';

/** Longest the engine computes before the worker looks for messages, in milliseconds. */
const SLICE = 8;

/** Messages to oneself: the shortest way through the event loop, past all that is waiting. */
const loop = new MessageChannel();
let resume: (() => void) | undefined;
loop.port1.onmessage = () => {
  resume?.();
};

/** One request while it is worked on; the engine's `Host` (`crates/web/src/host.rs`). */
export class Job {
  readonly #id: number;
  readonly #abort = new AbortController();
  #resumed = performance.now();

  constructor(id: number) {
    this.#id = id;
  }

  /** Aborted when the page cancels the request. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  cancel(): void {
    this.#abort.abort();
  }

  notify(notice: Notice): void {
    self.postMessage({ type: 'notice', id: this.#id, notice } satisfies FromWorker);
  }

  // What follows is called by the engine.

  pause(): Promise<void> | undefined {
    if (performance.now() - this.#resumed < SLICE) return undefined;
    return new Promise((resolve) => {
      resume = () => {
        this.#resumed = performance.now();
        resolve();
      };
      loop.port2.postMessage(null);
    });
  }

  cancelled(): boolean {
    return this.#abort.signal.aborted;
  }

  now(): number {
    return performance.now();
  }

  progress(stage: 'load' | 'vision' | 'prefill' | 'decode', done: number, total: number): void {
    this.notify({ type: 'progress', stage, done, total });
  }

  event(json: string): void {
    this.notify(JSON.parse(json) as Notice);
  }
}
