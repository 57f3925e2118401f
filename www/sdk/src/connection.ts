import { LlavaGuardError } from './errors.js';
import type { FromWorker, Notice, Priority, Request, ToWorker } from './messages.js';

/** The part of `Worker` that is used. */
export interface WorkerLike {
  postMessage(message: unknown, transfer?: Transferable[]): void;
  terminate(): void;
  onmessage: ((event: MessageEvent) => unknown) | null;
  onmessageerror: ((event: MessageEvent) => unknown) | null;
  onerror: ((event: ErrorEvent) => unknown) | null;
}

/** How one request is followed. */
export interface RequestOptions {
  signal?: AbortSignal | undefined;
  onNotice?: ((notice: Notice) => void) | undefined;
  priority?: Priority | undefined;
  /** What the worker gets for good. */
  transfer?: Transferable[] | undefined;
}

interface Pending {
  resolve: (value: unknown) => void;
  reject: (reason: unknown) => void;
  onNotice: ((notice: Notice) => void) | undefined;
}

/**
 * Requests to a worker and their answers. However the worker ends, no request is left without one:
 * after `close` or a crash all that are open are rejected, and later ones at once.
 */
export class Connection {
  readonly #worker: WorkerLike;
  readonly #threads: MessagePort[] = [];
  readonly #pending = new Map<number, Pending>();
  /** Sessions whose opening was aborted, perhaps too late. */
  readonly #givenUp = new Set<number>();
  #nextId = 1;
  #closed: LlavaGuardError | undefined;

  constructor(worker: WorkerLike) {
    this.#worker = worker;
    worker.onmessage = (event) => {
      this.#receive(event.data as FromWorker);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#crash(event.message || 'the worker script could not be loaded');
    };
    worker.onmessageerror = () => {
      this.#crash('a message could not be read');
    };
  }

  /** Sends a request; gives its answer. */
  async request<T>(request: Request, options: RequestOptions = {}): Promise<T> {
    const { signal, onNotice, priority, transfer } = options;
    if (this.#closed) throw this.#closed;
    signal?.throwIfAborted();
    const id = this.#nextId++;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, onNotice });
    });
    const abort = () => {
      // The worker stops within a layer's work; the caller need not wait for that.
      if (request.type === 'open') this.#givenUp.add(id);
      this.#send({ type: 'cancel', id });
      this.#take(id)?.reject(signal?.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
    try {
      this.#send(
        { type: 'request', id, request, ...(priority === undefined ? {} : { priority }) },
        transfer,
      );
    } catch (error) {
      this.#take(id)?.reject(error);
    }
    try {
      return (await answer) as T;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Ends the worker and rejects what is open with `reason`. */
  close(reason: LlavaGuardError): void {
    if (this.#closed) return;
    this.#closed = reason;
    this.#worker.terminate();
    for (const port of this.#threads) port.close();
    const open = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of open) reject(reason);
  }

  #send(message: ToWorker, transfer: Transferable[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #crash(message: string): void {
    this.close(
      new LlavaGuardError({
        code: 'engine.crashed',
        message: `The engine stopped unexpectedly (${message}); nothing was judged. Most often the tab has run out of memory: close other tabs and load the model again.`,
      }),
    );
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'crashed':
        this.#crash(message.message);
        break;
      case 'thread':
        this.#threads.push(message.crashPort);
        message.crashPort.onmessage = (event: MessageEvent<string>) => {
          this.#crash(event.data);
        };
        break;
      case 'notice':
        this.#pending.get(message.id)?.onNotice?.(message.notice);
        break;
      case 'done':
        this.#take(message.id)?.resolve(message.value);
        if (this.#givenUp.delete(message.id)) {
          const session = message.value as number;
          this.request({ type: 'close', session }).catch(() => undefined);
        }
        break;
      case 'failed':
        this.#givenUp.delete(message.id);
        this.#take(message.id)?.reject(new LlavaGuardError(message.error));
        break;
    }
  }
}
