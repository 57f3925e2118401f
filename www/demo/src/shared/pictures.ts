/** A picture on its way in. */
export interface Picture {
  file: Blob;
  /** For people: the file's name, with its folders where it came in one. */
  name: string;
}

/** What was brought at once: pictures, and a model where there is one among them. */
export interface Brought {
  pictures: Picture[];
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
    return { pictures: [], model: { file: model, handle: item?.getAsFileSystemHandle?.() } };
  }
  const entries = items.map((item) => item.webkitGetAsEntry());
  if (!entries.some((entry) => entry?.isDirectory)) return { pictures: picturesOf(files) };
  const found = await Promise.all(entries.filter((entry) => entry !== null).map(inEntry));
  return { pictures: found.flat() };
}

async function inEntry(entry: FileSystemEntry): Promise<Picture[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => {
      (entry as FileSystemFileEntry).file(resolve, reject);
    });
    return looksLikePicture(file) ? [{ file, name: entry.fullPath.replace(/^\//, '') }] : [];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const pictures: Picture[] = [];
  // A reader gives at most a hundred entries at a time, and none at the end.
  for (;;) {
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (entries.length === 0) return pictures;
    for (const each of entries) pictures.push(...(await inEntry(each)));
  }
}

/** In a folder only pictures are meant; a single file that is none should be told so. */
function looksLikePicture({ type, name }: File): boolean {
  return type.startsWith('image/') || /\.(avif|bmp|gif|heic|jpe?g|png|webp)$/i.test(name);
}
