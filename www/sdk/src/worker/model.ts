import type { Reader } from '../../wasm/simd/llavaguard.js';
import { LlavaGuardError } from '../errors.js';
import type { ModelMessage } from '../messages.js';
import type { ModelSource } from '../model-source.js';
import { type About, lockName, MANIFESTS, modelsFolder, storedModels } from '../stored.js';
import { BlobReader } from './blob-reader.js';
import { dataUrlBytes } from './data-url.js';
import { freeBytes, JobDepot } from './depot.js';
import type { Module } from './glue.js';
import type { Job } from './job.js';
import { openShelf, type Shelf } from './shelf.js';

/** Size of the pieces a model without a manifest is fetched in. */
const CHUNK_BYTES = 16 << 20;

/** A model's bytes, ready for the engine. */
export interface OpenModel {
  reader: Reader;
  source: ModelSource;
  /** Lets go of the bytes, and other tabs at them. */
  close(): void;
}

/** What the loader found. */
type Outcome = Omit<ModelSource, 'storage' | 'signedBy'>;

/** A manifest as the engine has read it. */
interface ReadManifest {
  contentId: string;
  files: string[];
  signedBy: string | null;
  manifest: {
    model_id: string;
    name: string;
    file: { bytes: number; chunk_bytes: number };
    memory: Record<string, number>;
  };
}

/** Opens a model: a file as it is, an address by way of this browser's storage. */
export async function openModel(
  module: Module,
  { model, trustedKeys, keep }: ModelMessage,
  job: Job,
): Promise<OpenModel> {
  if (model instanceof Blob) {
    if (trustedKeys !== undefined) throw untrusted();
    return {
      reader: new BlobReader(model),
      source: {
        verified: false,
        storage: 'file',
        bytes: model.size,
        reused: model.size,
        fetched: 0,
        repaired: 0,
      },
      close: () => undefined,
    };
  }
  const { url, files } = model;
  if (files === undefined && !new URL(url).pathname.endsWith('.json')) {
    if (trustedKeys !== undefined) throw untrusted();
    const about = { name: fileName(url), url, verified: false };
    return loadInto(`url-${await digest(url)}`, CHUNK_BYTES, [url], about, keep, job, (depot) =>
      module.downloadUnverified(url, depot),
    );
  }
  const { text, read } = await readManifest(module, url, trustedKeys, job);
  if (files !== undefined && files.length !== read.files.length) {
    throw new LlavaGuardError({
      code: 'engine.bad_option',
      message: `The manifest names ${read.files.length} files and ${files.length} addresses were given. Give one for each, in its order.`,
    });
  }
  const urls = files ?? read.files.map((name) => new URL(encodeURIComponent(name), url).href);
  const { model_id: modelId, name, file } = read.manifest;
  const about = { name, modelId, url, verified: true };
  const chunk = file.chunk_bytes;
  const opened = await loadInto(read.contentId, chunk, urls, about, keep, job, (depot) =>
    module.downloadModel(text, urls, depot),
  );
  if (read.signedBy !== null) opened.source.signedBy = read.signedBy;
  return opened;
}

/** What can be told about a model before it is fetched. */
export async function probeModel(
  module: Module,
  { model, trustedKeys }: Pick<ModelMessage, 'model' | 'trustedKeys'>,
  job: Job,
): Promise<unknown> {
  if (model instanceof Blob) throw new TypeError('a probe takes the address of a manifest');
  const { text, read } = await readManifest(module, model.url, trustedKeys, job);
  const stored = (await storedModels()).find(({ id }) => id === read.contentId);
  return {
    manifest: read.manifest,
    signedBy: read.signedBy,
    stored: stored?.storedBytes ?? 0,
    free: (await freeBytes()) ?? null,
    ...(JSON.parse(await module.measureSpeed(text)) as object),
  };
}

async function loadInto(
  id: string,
  chunkBytes: number,
  urls: string[],
  about: Omit<About, 'bytes' | 'usedAt'>,
  keep: boolean,
  job: Job,
  download: (depot: JobDepot) => Promise<string>,
): Promise<OpenModel> {
  const release = await lock(lockName(id), job);
  let shelf: Shelf | undefined;
  try {
    shelf = await openShelf(id, chunkBytes, keep);
    // First what it is, so that an interrupted download can be listed and deleted.
    const described = { ...about, bytes: 0, usedAt: Date.now() };
    await shelf.describe(described);
    const outcome = JSON.parse(await download(new JobDepot(urls, shelf, job))) as Outcome;
    await shelf.describe({ ...described, bytes: outcome.bytes });
    const opened = shelf;
    return {
      reader: await shelf.reader(outcome.bytes),
      source: { ...outcome, storage: shelf.kind },
      close: () => {
        opened.close();
        release();
      },
    };
  } catch (error) {
    shelf?.close();
    release();
    throw error;
  }
}

/** Waits until nobody else reads or writes a stored model; gives what lets the next one in. */
async function lock(name: string, job: Job): Promise<() => void> {
  if (!('locks' in navigator)) return () => undefined;
  const attempt = (options: LockOptions) =>
    new Promise<(() => void) | undefined>((resolve, reject) => {
      navigator.locks
        .request(name, options, (granted) => {
          if (!granted) {
            resolve(undefined);
            return undefined;
          }
          return new Promise<void>((release) => {
            resolve(release);
          });
        })
        .catch(reject);
    });
  const free = await attempt({ ifAvailable: true });
  if (free) return free;
  job.notify({ type: 'progress', stage: 'wait', done: 0, total: 0 });
  return (await attempt({ signal: job.signal })) ?? (() => undefined);
}

async function readManifest(
  module: Module,
  url: string,
  trustedKeys: string[] | undefined,
  job: Job,
): Promise<{ text: string; read: ReadManifest }> {
  const text = await manifestText(url, job);
  const read = JSON.parse(module.readManifest(text, trustedKeys?.join(' '))) as ReadManifest;
  return { text, read };
}

/** A manifest from its address, or as it was last time where that cannot be reached. */
async function manifestText(url: string, job: Job): Promise<string> {
  // Bundlers put small files into the script itself.
  const inlined = dataUrlBytes(url);
  if (inlined) return new TextDecoder().decode(inlined);
  const folder = await (
    await modelsFolder(true)
  )
    ?.getDirectoryHandle(MANIFESTS, { create: true })
    .catch(() => undefined);
  const name = `${await digest(url)}.json`;
  const failed = (reason: string) =>
    new LlavaGuardError({
      code: 'manifest.fetch_failed',
      message: `The manifest could not be fetched from ${url}: ${reason}. Check the address and the connection, then try again.`,
    });
  let response: Response;
  try {
    response = await fetch(url, { signal: job.signal, cache: 'no-cache' });
  } catch (error) {
    if (job.signal.aborted) throw error;
    const saved = await folder
      ?.getFileHandle(name)
      .then((file) => file.getFile())
      .then((file) => file.text())
      .catch(() => undefined);
    if (saved) return saved;
    throw failed((error as Error).message);
  }
  if (!response.ok) throw failed(`the server said ${response.status}`);
  const text = await response.text();
  await folder
    ?.getFileHandle(name, { create: true })
    .then((file) => file.createSyncAccessHandle())
    .then((file) => {
      const bytes = new TextEncoder().encode(text);
      file.truncate(0);
      file.write(bytes, { at: 0 });
      file.close();
    })
    // Without a copy it works too, only not offline.
    .catch(() => undefined);
  return text;
}

function fileName(url: string): string {
  return /[^/]+$/.exec(new URL(url).pathname)?.[0] ?? url;
}

/** SHA-256 of a text, in hexadecimal; names are enough where there is no cryptography. */
async function digest(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  if (!('subtle' in crypto)) return encodeURIComponent(text).replaceAll('%', '_');
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function untrusted(): LlavaGuardError {
  return new LlavaGuardError({
    code: 'manifest.untrusted',
    message:
      'Trusted keys were given, but this model has no manifest that one of them could have signed. Give the address of its manifest, or leave the keys out.',
  });
}
