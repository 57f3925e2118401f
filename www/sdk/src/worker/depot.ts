import type { Answer, Depot } from '../../wasm/simd/llavaguard.js';
import type { Job } from './job.js';
import { fetchBytes } from './network.js';
import type { Shelf } from './shelf.js';

/** Network, storage and clock of the engine's loader (`crates/web/src/store.rs`). */
export class JobDepot implements Depot {
  readonly #urls: string[];
  readonly #shelf: Shelf;
  readonly #job: Job;
  /** What was written last; a journal must not overtake an earlier one. */
  #writing: Promise<unknown> = Promise.resolve();

  constructor(urls: string[], shelf: Shelf, job: Job) {
    this.#urls = urls;
    this.#shelf = shelf;
    this.#job = job;
  }

  get(part: number, start: number, end: number, ifRange: string | undefined): Promise<Answer> {
    return fetchBytes(this.#urls[part] ?? '', [start, end], ifRange, this.#job.signal);
  }

  read(offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.#shelf.read(offset, length);
  }

  digest(bytes: Uint8Array): Promise<ArrayBuffer> | undefined {
    // Pages that are not served over HTTPS have no such thing.
    const { subtle } = crypto as { subtle?: SubtleCrypto };
    return subtle?.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    try {
      await this.#shelf.write(offset, bytes);
    } catch (error) {
      const { name, message } = error as Error;
      throw Object.assign(new Error(message), { name, free: await this.free() });
    }
  }

  clear(): Promise<void> {
    return this.#shelf.clear();
  }

  async free(): Promise<number | undefined> {
    return this.#shelf.kind === 'memory' ? undefined : freeBytes();
  }

  journal(): Promise<string | undefined> {
    return this.#shelf.journal();
  }

  saveJournal(text: string): Promise<void> {
    const saving = this.#writing.then(() => this.#shelf.saveJournal(text));
    this.#writing = saving.catch(() => undefined);
    return saving;
  }

  now(): number {
    return performance.now();
  }

  /** Ends early where the job is cancelled. */
  sleep(milliseconds: number): Promise<void> {
    const { signal } = this.#job;
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      if (signal.aborted) done();
      else signal.addEventListener('abort', done);
    });
  }

  cancelled(): boolean {
    return this.#job.cancelled();
  }

  downloading(
    stage: 'verify' | 'download',
    done: number,
    total: number,
    bytesPerSecond: number,
    secondsLeft: number | undefined,
  ): void {
    this.#job.notify({
      type: 'progress',
      stage,
      done,
      total,
      bytesPerSecond,
      ...(secondsLeft === undefined ? {} : { secondsLeft }),
    });
  }
}

/** Bytes this origin may still store, where the browser tells. */
export async function freeBytes(): Promise<number | undefined> {
  // Pages that are not served over HTTPS have no storage, and Safari tells only since version 17.
  const { storage } = navigator as { storage?: Partial<StorageManager> };
  const { quota, usage } = (await storage?.estimate?.().catch(() => undefined)) ?? {};
  return quota === undefined ? undefined : Math.max(0, quota - (usage ?? 0));
}
