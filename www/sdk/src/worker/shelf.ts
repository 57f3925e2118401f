import type { Reader } from '../../wasm/simd/llavaguard.js';
import type { ModelSource } from '../model-source.js';
import { cacheAddress, FILES, modelsCache, modelsFolder, type About } from '../stored.js';
import { BlobReader } from './blob-reader.js';

/** Where one model's bytes are kept. */
export interface Shelf {
  readonly kind: ModelSource['storage'];
  /** Bytes that were written before; nothing where they were not. The array is used again. */
  read(offset: number, length: number): Promise<Uint8Array | undefined>;
  /** Writes a whole chunk. Takes the bytes before it returns the promise. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Forgets everything. */
  clear(): Promise<void>;
  journal(): Promise<string | undefined>;
  saveJournal(text: string): Promise<void>;
  describe(about: About): Promise<void>;
  /** The whole model; read before the shelf is closed. */
  reader(bytes: number): Promise<Reader>;
  close(): void;
}

/**
 * The best shelf this browser has: private files, else a cache, else this tab's memory. Without `keep`
 * nothing is to stay behind.
 */
export async function openShelf(id: string, chunkBytes: number, keep: boolean): Promise<Shelf> {
  if (!keep) return new MemoryShelf(chunkBytes);
  return (
    (await FileShelf.open(id).catch(() => undefined))
    ?? (await CacheShelf.open(id, chunkBytes).catch(() => undefined))
    ?? new MemoryShelf(chunkBytes)
  );
}

/** Files of the origin's private file system, held open for this worker alone. */
class FileShelf implements Shelf {
  readonly kind = 'files';
  readonly #folder: FileSystemDirectoryHandle;
  readonly #weights: FileSystemSyncAccessHandle;
  readonly #journal: FileSystemSyncAccessHandle;
  readonly #scratch = new Scratch();
  readonly #takesShared: boolean;

  private constructor(
    folder: FileSystemDirectoryHandle,
    weights: FileSystemSyncAccessHandle,
    journal: FileSystemSyncAccessHandle,
  ) {
    this.#folder = folder;
    this.#weights = weights;
    this.#journal = journal;
    this.#takesShared = takesShared(weights);
  }

  static async open(id: string): Promise<FileShelf | undefined> {
    const models = await modelsFolder(true);
    const folder = await models?.getDirectoryHandle(id, { create: true });
    if (!folder) return undefined;
    const weights = await openFile(folder, FILES.weights);
    try {
      return new FileShelf(folder, weights, await openFile(folder, FILES.journal));
    } catch (error) {
      weights.close();
      throw error;
    }
  }

  read(offset: number, length: number): Promise<Uint8Array | undefined> {
    const bytes = this.#scratch.of(length);
    const read = this.#weights.read(bytes, { at: offset });
    return Promise.resolve(read === length ? bytes : undefined);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- what it throws is to reject
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    writeAll(this.#weights, this.#direct(bytes) ? bytes : this.#scratch.copy(bytes), offset);
  }

  /** Whether the file can be read into and written from some memory. */
  #direct(bytes: Uint8Array): boolean {
    return this.#takesShared || bytes.buffer instanceof ArrayBuffer;
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- what it throws is to reject
  async clear(): Promise<void> {
    this.#journal.truncate(0);
    this.#weights.truncate(0);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- what it throws is to reject
  async journal(): Promise<string | undefined> {
    const bytes = new Uint8Array(this.#journal.getSize());
    this.#journal.read(bytes, { at: 0 });
    return bytes.length === 0 ? undefined : new TextDecoder().decode(bytes);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- what it throws is to reject
  async saveJournal(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    writeAll(this.#journal, bytes, 0);
    this.#journal.truncate(bytes.length);
  }

  async describe(about: About): Promise<void> {
    const file = await openFile(this.#folder, FILES.about);
    const bytes = new TextEncoder().encode(JSON.stringify(about));
    writeAll(file, bytes, 0);
    file.truncate(bytes.length);
    file.close();
  }

  reader(bytes: number): Promise<Reader> {
    return Promise.resolve({
      size: bytes,
      read: (offset: number, into: Uint8Array) => {
        if (this.#direct(into)) return this.#weights.read(into, { at: offset });
        const own = this.#scratch.of(into.length);
        const read = this.#weights.read(own, { at: offset });
        into.set(own);
        return read;
      },
    });
  }

  close(): void {
    // Written through only now: until then the machine's crash costs a new look at the chunks, and
    // the browser's costs nothing.
    this.#weights.close();
    this.#journal.close();
  }
}

/** One array for bytes on their way: a new one each time would be garbage of the whole model's size. */
class Scratch {
  #bytes = new Uint8Array();

  /** So many bytes of it, which hold anything. */
  of(length: number): Uint8Array<ArrayBuffer> {
    if (this.#bytes.length < length) this.#bytes = new Uint8Array(length);
    return this.#bytes.subarray(0, length);
  }

  copy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    const own = this.of(bytes.length);
    own.set(bytes);
    return own;
  }
}

/** How often and how far apart a file is asked for that another worker still holds, in milliseconds. */
const HELD = { tries: 40, pause: 50 };

/**
 * Opens a file for this worker alone. Browsers let go of a worker's files some moments after it has
 * ended, and after its locks: a model loaded again at once would be taken for one that is not stored.
 */
async function openFile(folder: FileSystemDirectoryHandle, name: string) {
  const file = await folder.getFileHandle(name, { create: true });
  for (let tries = 1; ; tries++) {
    try {
      return await file.createSyncAccessHandle();
    } catch (error) {
      const held = (error as Error).name === 'NoModificationAllowedError';
      if (!held || tries === HELD.tries) throw error;
      await new Promise((resolve) => setTimeout(resolve, HELD.pause));
    }
  }
}

/** Whether a file takes memory that threads share; Firefox's do not. */
function takesShared(file: FileSystemSyncAccessHandle): boolean {
  if (typeof SharedArrayBuffer === 'undefined') return false;
  try {
    file.read(new Uint8Array(new SharedArrayBuffer(0)), { at: 0 });
    return true;
  } catch {
    return false;
  }
}

function writeAll(file: FileSystemSyncAccessHandle, bytes: Uint8Array, at: number): void {
  const written = file.write(bytes, { at });
  if (written !== bytes.length) {
    throw new DOMException('the disk took only a part', 'QuotaExceededError');
  }
}

/** Pieces of a model as blobs, which the browser may keep outside the tab's memory. */
abstract class PieceShelf implements Shelf {
  abstract readonly kind: ModelSource['storage'];
  readonly #chunkBytes: number;
  #held: { at: number; blob: Blob } | undefined;
  readonly #scratch = new Scratch();

  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
  }

  protected abstract piece(at: number): Promise<Blob | undefined>;
  protected abstract put(at: number, blob: Blob): Promise<void>;
  abstract clear(): Promise<void>;
  abstract journal(): Promise<string | undefined>;
  abstract saveJournal(text: string): Promise<void>;
  abstract describe(about: About): Promise<void>;

  async read(offset: number, length: number): Promise<Uint8Array | undefined> {
    const at = offset - (offset % this.#chunkBytes);
    if (this.#held?.at !== at) {
      const blob = await this.piece(at);
      if (!blob) return undefined;
      this.#held = { at, blob };
    }
    const slice = this.#held.blob.slice(offset - at, offset - at + length);
    return new Uint8Array(await slice.arrayBuffer());
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    this.#held = undefined;
    // By way of a copy: no blob can be made of memory that threads share.
    await this.put(offset, new Blob([this.#scratch.copy(bytes)]));
  }

  async reader(bytes: number): Promise<Reader> {
    const blobs: Blob[] = [];
    for (let at = 0; at < bytes; at += this.#chunkBytes) {
      const blob = await this.piece(at);
      if (blob) blobs.push(blob);
    }
    return new BlobReader(new Blob(blobs));
  }

  close(): void {
    this.#held = undefined;
  }
}

/** Pieces in a cache, for browsers without private files in workers. */
class CacheShelf extends PieceShelf {
  readonly kind = 'cache';
  readonly #id: string;
  readonly #cache: Cache;

  private constructor(id: string, chunkBytes: number, cache: Cache) {
    super(chunkBytes);
    this.#id = id;
    this.#cache = cache;
  }

  static async open(id: string, chunkBytes: number): Promise<CacheShelf | undefined> {
    const cache = await modelsCache();
    return cache && new CacheShelf(id, chunkBytes, cache);
  }

  protected async piece(at: number): Promise<Blob | undefined> {
    const found = await this.#cache.match(cacheAddress(this.#id, at));
    return found?.blob();
  }

  protected async put(at: number | string, body: Blob | string): Promise<void> {
    await this.#cache.put(cacheAddress(this.#id, at), new Response(body));
  }

  async clear(): Promise<void> {
    const prefix = cacheAddress(this.#id, '');
    for (const request of await this.#cache.keys()) {
      if (request.url.startsWith(prefix)) await this.#cache.delete(request);
    }
  }

  async journal(): Promise<string | undefined> {
    return (await this.#cache.match(cacheAddress(this.#id, FILES.journal)))?.text();
  }

  async saveJournal(text: string): Promise<void> {
    await this.put(FILES.journal, text);
  }

  async describe(about: About): Promise<void> {
    await this.put(FILES.about, JSON.stringify(about));
  }
}

/** Pieces that end with the tab, where nothing can be kept. */
class MemoryShelf extends PieceShelf {
  readonly kind = 'memory';
  readonly #pieces = new Map<number, Blob>();
  #journal: string | undefined;

  protected piece(at: number): Promise<Blob | undefined> {
    return Promise.resolve(this.#pieces.get(at));
  }

  protected put(at: number, blob: Blob): Promise<void> {
    this.#pieces.set(at, blob);
    return Promise.resolve();
  }

  clear(): Promise<void> {
    this.#pieces.clear();
    this.#journal = undefined;
    return Promise.resolve();
  }

  journal(): Promise<string | undefined> {
    return Promise.resolve(this.#journal);
  }

  saveJournal(text: string): Promise<void> {
    this.#journal = text;
    return Promise.resolve();
  }

  describe(): Promise<void> {
    return Promise.resolve();
  }
}
