import type { Answer } from '../../wasm/simd/llavaguard.js';

/** Bytes taken from a response at once. */
const PIECE = 256 << 10;

/**
 * Gives what reads a body piece by piece. Where the browser can, always into the same buffer: a new one
 * for each piece would be garbage of the whole model's size.
 */
function pieces(body: ReadableStream<Uint8Array>): () => Promise<Uint8Array | undefined> {
  try {
    const reader = body.getReader({ mode: 'byob' });
    let buffer = new ArrayBuffer(PIECE);
    return async () => {
      const { value, done } = await reader.read(new Uint8Array(buffer));
      if (value) buffer = value.buffer;
      return done ? undefined : value;
    };
  } catch {
    const reader = body.getReader();
    return async () => (await reader.read()).value;
  }
}

/** A response as the engine's loader reads it. */
class NetworkAnswer implements Answer {
  readonly status: number;
  readonly validator: string | undefined;
  readonly rangeStart: number | undefined;
  readonly rangeSize: number = -1;
  readonly length: number | undefined;
  readonly retryAfterMs: number | undefined;
  readonly #abort: AbortController;
  readonly #read: (() => Promise<Uint8Array | undefined>) | undefined;

  constructor(response: Response, abort: AbortController) {
    const header = (name: string) => response.headers.get(name) ?? undefined;
    this.#abort = abort;
    this.#read = response.body ? pieces(response.body) : undefined;
    this.status = response.status;
    const etag = header('etag');
    // Bytes of weakly equal versions need not be equal.
    this.validator = etag?.startsWith('"') ? etag : header('last-modified');
    const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(header('content-range') ?? '');
    if (range) {
      this.rangeStart = Number(range[1] ?? 0);
      this.rangeSize = range[2] === '*' ? -1 : Number(range[2]);
    }
    const length = header('content-length');
    if (length !== undefined && header('content-encoding') === undefined) {
      this.length = Number(length);
    }
    const seconds = Number(header('retry-after') ?? NaN);
    if (Number.isFinite(seconds)) this.retryAfterMs = seconds * 1e3;
  }

  next(): Promise<Uint8Array | undefined> {
    return this.#read?.() ?? Promise.resolve(undefined);
  }

  cancel(): void {
    this.#abort.abort();
  }
}

/**
 * Asks for bytes `start..end` of a file, or for all of it where `end` is below 0. Past the HTTP cache:
 * what is fetched is stored in another place.
 */
export async function fetchBytes(
  url: string,
  [start, end]: [number, number],
  ifRange: string | undefined,
  signal: AbortSignal,
): Promise<Answer> {
  const abort = new AbortController();
  const stop = () => {
    abort.abort(signal.reason);
  };
  signal.addEventListener('abort', stop, { once: true });
  signal.throwIfAborted();
  const headers = new Headers();
  if (end >= 0) headers.set('Range', `bytes=${start}-${end - 1}`);
  // From another origin this header would need a permission of its own; the answer is compared too.
  if (ifRange !== undefined && new URL(url).origin === location.origin) {
    headers.set('If-Range', ifRange);
  }
  abort.signal.addEventListener('abort', () => {
    signal.removeEventListener('abort', stop);
  });
  return new NetworkAnswer(
    await fetch(url, { headers, signal: abort.signal, cache: 'no-store' }),
    abort,
  );
}
