/** A picture on its way in. */
export interface Picture {
  file: Blob;
  /** For people: the file's name, with its folders where it came in one. */
  name: string;
}

/** What was brought at once: pictures, and a model where there is one among them. */
export interface Brought {
  pictures: Picture[];
  /** Paths of files in folders that are no pictures. */
  others: string[];
  /** Paths of files and folders that could not be read. */
  unreadable: string[];
  model?: { file: File; handle: Promise<FileSystemHandle | null> | undefined };
}

const MODEL = /\.gguf$/i;

/** The pictures among files that were chosen, with the folders they lie in. */
export function picturesOf(files: Iterable<File>): Picture[] {
  return [...files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
}

/** What a drop or a paste brings; folders are looked through. */
export async function broughtBy(transfer: DataTransfer): Promise<Brought> {
  // All of it has to be asked for at once: a transfer is empty as soon as its event is over.
  const items = [...transfer.items].filter(({ kind }) => kind === 'file');
  const files = [...transfer.files];
  const model = files.find(({ name }) => MODEL.test(name));
  if (model) {
    const item = items[files.indexOf(model)] as
      { getAsFileSystemHandle?(): Promise<FileSystemHandle | null> } | undefined;
    const handle = item?.getAsFileSystemHandle?.();
    return { ...NOTHING, model: { file: model, handle } };
  }
  const entries = items.map((item) => item.webkitGetAsEntry());
  if (!entries.some((entry) => entry?.isDirectory)) {
    return { ...NOTHING, pictures: picturesOf(files) };
  }
  const found: Brought = { pictures: [], others: [], unreadable: [] };
  for (const entry of entries) if (entry) await addEntry(entry, found);
  return found;
}

const NOTHING: Brought = { pictures: [], others: [], unreadable: [] };

async function addEntry(entry: FileSystemEntry, found: Brought): Promise<void> {
  const name = entry.fullPath.replace(/^\//, '');
  try {
    if (entry.isFile) {
      const file = await new Promise<File>((resolve, reject) => {
        (entry as FileSystemFileEntry).file(resolve, reject);
      });
      if (looksLikePicture(file)) found.pictures.push({ file, name });
      else found.others.push(name);
      return;
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    // A reader gives at most a hundred entries at a time, and none at the end.
    for (;;) {
      const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => {
        reader.readEntries(resolve, reject);
      });
      if (entries.length === 0) return;
      for (const each of entries) await addEntry(each, found);
    }
  } catch {
    found.unreadable.push(name);
  }
}

/**
 * What calls itself a picture. In a folder only pictures are meant, e.g. not `.DS_Store`; a single file
 * that is none should be told so.
 */
export function looksLikePicture({ type, name }: { type: string; name: string }): boolean {
  const known = /\.(avif|bmp|gif|hei[cf]|jfif|jpe?g|png|tiff?|webp)$/i;
  return known.test(name) || (type.startsWith('image/') && type !== 'image/svg+xml');
}
