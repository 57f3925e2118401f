/** The name of the database that holds the handle, and of its one store. */
const NAME = 'llavaguard-files';
const KEY = 'model';

/** A handle whose permission can be asked for; not every browser has that. */
type Permitted = FileSystemFileHandle & {
  queryPermission?(options: { mode: 'read' }): Promise<PermissionState>;
  requestPermission?(options: { mode: 'read' }): Promise<PermissionState>;
};

/**
 * Remembers a model file the user has chosen (`showOpenFilePicker`, or
 * `DataTransferItem.getAsFileSystemHandle` of a drop), so that it need not be looked for again. The file
 * stays where it is.
 */
export async function rememberModelFile(handle: FileSystemFileHandle): Promise<void> {
  await withStore('readwrite', (store) => store.put(handle, KEY));
}

/** The file that was remembered last; none where there is none. */
export async function rememberedModelFile(): Promise<FileSystemFileHandle | undefined> {
  const found = await withStore('readonly', (store) => store.get(KEY)).catch(() => undefined);
  // By its kind: the class is not there in pages that are not served over HTTPS.
  const handle = found as FileSystemFileHandle | undefined;
  return handle?.kind === 'file' ? handle : undefined;
}

/** Forgets the remembered file. */
export async function forgetModelFile(): Promise<void> {
  await withStore('readwrite', (store) => store.delete(KEY));
}

/**
 * The file behind a remembered handle. May ask the user, so call it from a click.
 *
 * @throws DOMException `NotAllowedError` where the user declines, `NotFoundError` where it is gone.
 */
export async function openModelFile(handle: FileSystemFileHandle): Promise<File> {
  const permitted = handle as Permitted;
  const mode = { mode: 'read' } as const;
  if ((await permitted.queryPermission?.(mode)) === 'prompt') {
    await permitted.requestPermission?.(mode);
  }
  return handle.getFile();
}

async function withStore(
  mode: IDBTransactionMode,
  act: (store: IDBObjectStore) => IDBRequest,
): Promise<unknown> {
  const opening = indexedDB.open(NAME, 1);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore(NAME);
  };
  const database = (await settled(opening)) as IDBDatabase;
  try {
    return await settled(act(database.transaction(NAME, mode).objectStore(NAME)));
  } finally {
    database.close();
  }
}

function settled(request: IDBRequest): Promise<unknown> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => {
      resolve(request.result);
    };
    request.onerror = () => {
      reject(request.error ?? new Error('the database failed'));
    };
  });
}
