import { LlavaGuardError } from './errors.js';

/** Folder of the origin's private file system, and name of the cache where there is none. */
export const STORE = 'llavaguard-models';
/** Files of a stored model. */
export const FILES = { weights: 'weights', journal: 'journal.json', about: 'about.json' } as const;
/** Folder of the last manifest of each address, for when there is no network. */
export const MANIFESTS = 'manifests';

/** The name of the lock that whoever reads or writes a stored model holds. */
export function lockName(id: string): string {
  return `${STORE}/${id}`;
}

/** The address a piece of a stored model has in a cache; nothing is ever fetched from it. */
export function cacheAddress(id: string, piece: string | number): string {
  return new URL(`/${STORE}/${id}/${piece}`, location.origin).href;
}

/** What is written beside a stored model. */
export interface About {
  name: string;
  modelId?: string;
  bytes: number;
  url: string;
  verified: boolean;
  usedAt: number;
}

/** A model in this browser's storage. */
export interface StoredModel {
  /** Names it in {@link deleteStoredModel}. */
  id: string;
  /** Its name, or the address it came from. */
  name: string;
  /** Its name and the beginning of its weights' SHA-256, where a manifest told. */
  modelId?: string;
  /** Where it came from. */
  url: string;
  /** Its size in bytes. */
  bytes: number;
  /** Bytes of it that are stored. */
  storedBytes: number;
  /** Whether all of it is there. */
  complete: boolean;
  /** Whether a manifest vouches for its bytes. */
  verified: boolean;
  /** When it was used last. */
  usedAt: Date;
}

/** The models in this browser's storage, those of interrupted downloads too; last used first. */
export async function storedModels(): Promise<StoredModel[]> {
  const found = await Promise.all([inFiles(), inCache()]);
  return found.flat().sort((a, b) => b.usedAt.getTime() - a.usedAt.getTime());
}

/**
 * Deletes a model from this browser's storage.
 *
 * @throws LlavaGuardError with `store.in_use` while it is loaded or fetched, in this tab or another.
 */
export async function deleteStoredModel(id: string): Promise<void> {
  const remove = async () => {
    const folder = await modelsFolder();
    await folder?.removeEntry(id, { recursive: true }).catch(ignoreAbsent);
    const cache = await modelsCache();
    const prefix = cacheAddress(id, '');
    for (const request of (await cache?.keys()) ?? []) {
      if (request.url.startsWith(prefix)) await cache?.delete(request);
    }
  };
  if (!('locks' in navigator)) return remove();
  await navigator.locks.request(lockName(id), { ifAvailable: true }, async (lock) => {
    if (!lock) {
      throw new LlavaGuardError({
        code: 'store.in_use',
        message:
          'The model is being loaded, here or in another tab. Wait until it is loaded or stop it, then delete it.',
      });
    }
    await remove();
  });
}

async function inFiles(): Promise<StoredModel[]> {
  const folder = await modelsFolder();
  const models: StoredModel[] = [];
  for await (const [id, entry] of folder?.entries() ?? []) {
    if (entry.kind !== 'directory' || id === MANIFESTS) continue;
    const read = async (name: string) => {
      const file = await entry.getFileHandle(name);
      return (await file.getFile()).text();
    };
    const [about, journal] = await Promise.all(
      [FILES.about, FILES.journal].map((name) => read(name).catch(() => '')),
    );
    models.push(describe(id, about, journal));
  }
  return models;
}

async function inCache(): Promise<StoredModel[]> {
  const cache = await modelsCache();
  const models: StoredModel[] = [];
  for (const request of (await cache?.keys()) ?? []) {
    const [, id] = new RegExp(`/${STORE}/([^/]+)/${FILES.about}$`).exec(request.url) ?? [];
    if (id === undefined) continue;
    const read = async (name: string) => (await cache?.match(cacheAddress(id, name)))?.text();
    models.push(describe(id, await read(FILES.about), await read(FILES.journal)));
  }
  return models;
}

function describe(id: string, aboutText = '', journalText = ''): StoredModel {
  const about = parse<About>(aboutText);
  const journal = parse<{ bytes: number; chunk_bytes: number; chunks: unknown[] }>(journalText);
  const chunkBytes = journal.chunk_bytes ?? 0;
  const bytes = journal.bytes ?? about.bytes ?? 0;
  const storedBytes = (journal.chunks ?? []).reduce<number>(
    (sum, chunk, at) =>
      chunk === null ? sum : sum + Math.min(chunkBytes, bytes - at * chunkBytes),
    0,
  );
  return {
    id,
    name: about.name ?? 'an unknown model',
    ...(about.modelId === undefined ? {} : { modelId: about.modelId }),
    url: about.url ?? '',
    bytes,
    storedBytes,
    complete: bytes > 0 && storedBytes === bytes,
    verified: about.verified ?? false,
    usedAt: new Date(about.usedAt ?? 0),
  };
}

/** A document that a crash may have damaged. */
function parse<T>(text: string): Partial<T> {
  try {
    return (JSON.parse(text) ?? {}) as Partial<T>;
  } catch {
    return {};
  }
}

/** The folder of all models; none where this browser has no such storage or denies it. */
export async function modelsFolder(create = false): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    const root = await navigator.storage.getDirectory();
    return await root.getDirectoryHandle(STORE, { create });
  } catch {
    return undefined;
  }
}

/** The cache of models; none where this browser has no caches or denies them. */
export async function modelsCache(): Promise<Cache | undefined> {
  try {
    return await caches.open(STORE);
  } catch {
    return undefined;
  }
}

function ignoreAbsent(error: unknown): void {
  if (!(error instanceof DOMException && error.name === 'NotFoundError')) throw error;
}
