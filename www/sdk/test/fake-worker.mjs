/** A worker that exists only in the test: what it is sent is kept, what it says is told. */
export class FakeWorker {
  /** @type {any[]} */
  sent = [];
  terminated = false;
  /** @type {((event: MessageEvent) => unknown) | null} */
  onmessage = null;
  /** @type {((event: MessageEvent) => unknown) | null} */
  onmessageerror = null;
  /** @type {((event: ErrorEvent) => unknown) | null} */
  onerror = null;

  /** @param {unknown} message */
  postMessage(message) {
    // Throws for what cannot be cloned, as a worker's does.
    this.sent.push(structuredClone(message));
  }

  terminate() {
    this.terminated = true;
  }

  /** @param {unknown} data */
  say(data) {
    this.onmessage?.(/** @type {MessageEvent} */ ({ data }));
  }

  /** @param {string} message */
  fail(message) {
    const event = { message, preventDefault: () => undefined };
    this.onerror?.(/** @type {ErrorEvent} */ (/** @type {unknown} */ (event)));
  }
}
