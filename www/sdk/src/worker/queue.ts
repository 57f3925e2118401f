import type { Priority } from '../messages.js';

/** What waits for the engine, which does one thing at a time. */
export interface Turn {
  priority: Priority;
  /** Begins what can be done ahead, such as fetching; called again it does nothing. */
  prepare(): void;
  /** Does it. Never rejects. */
  run(): Promise<void>;
}

const RANK: Record<Priority, number> = { 'user-blocking': 0, 'user-visible': 1, background: 2 };

/**
 * Gives turns by priority, then in order of arrival. While one runs, the one that is to come next is
 * prepared, and no more of them: a thousand that wait take no memory but their own messages.
 */
export class Queue {
  readonly #waiting: Turn[] = [];
  #running = false;

  add(turn: Turn): void {
    const behind = this.#waiting.findIndex(({ priority }) => RANK[priority] > RANK[turn.priority]);
    this.#waiting.splice(behind === -1 ? this.#waiting.length : behind, 0, turn);
    if (this.#running) this.#waiting[0]?.prepare();
    else void this.#work();
  }

  async #work(): Promise<void> {
    this.#running = true;
    for (let turn = this.#waiting.shift(); turn; turn = this.#waiting.shift()) {
      this.#waiting[0]?.prepare();
      await turn.run();
    }
    this.#running = false;
  }
}
