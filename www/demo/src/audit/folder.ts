import { type Brought, looksLikePicture } from '../shared/pictures.js';
import type { Found } from './rows.js';

/** What a choice of files or folders amounts to. */
export interface Choice {
  /** By path, numbers in their order. */
  pictures: Found[];
  /** Paths of files that are no pictures. */
  others: string[];
  /** Paths of folders and files that could not be opened. */
  unreadable: string[];
}

class Collection implements Choice {
  pictures: Found[] = [];
  others: string[] = [];
  unreadable: string[] = [];
  readonly #onFound: ((count: number) => void) | undefined;

  constructor(onFound?: (count: number) => void) {
    this.#onFound = onFound;
  }

  add(path: string, source: Found['source'], type: string): void {
    if (!looksLikePicture({ name: path, type })) {
      this.others.push(path);
      return;
    }
    this.take(path, source);
  }

  /** Adds a file that is meant as a picture, whatever its name. */
  take(path: string, source: Found['source']): void {
    this.pictures.push({ path, source });
    this.#onFound?.(this.pictures.length);
  }

  sorted(): Choice {
    const names = new Intl.Collator(undefined, { numeric: true });
    this.pictures.sort((a, b) => names.compare(a.path, b.path));
    return this;
  }
}

/** The files of an `<input>`, with or without `webkitdirectory`. */
export function fromInput(files: Iterable<File>): Choice {
  const found = new Collection();
  for (const file of files) found.add(file.webkitRelativePath || file.name, file, file.type);
  return found.sorted();
}

/** What was dropped or pasted, looked through already. */
export function fromBrought({ pictures, others, unreadable }: Brought): Choice {
  const found = new Collection();
  for (const { file, name } of pictures) found.take(name, file);
  found.others = others;
  found.unreadable = unreadable;
  return found.sorted();
}

/** What TypeScript's library does not know yet of folders. */
type Folder = FileSystemDirectoryHandle & {
  values(): AsyncIterable<FileSystemFileHandle | FileSystemDirectoryHandle>;
};

interface Picking {
  showDirectoryPicker?: (options: { id: string; mode: 'read' }) => Promise<Folder>;
}

/** Whether the browser has a picker that gives a folder's files one by one. */
export function canPickFolder(): boolean {
  return typeof (globalThis as Picking).showDirectoryPicker === 'function';
}

/** Lets the user pick a folder; nothing where they think better of it. */
export async function pickFolder(onFound?: (count: number) => void): Promise<Choice | undefined> {
  let folder: Folder | undefined;
  try {
    folder = await (globalThis as Picking).showDirectoryPicker?.({ id: 'audit', mode: 'read' });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return undefined;
    throw error;
  }
  return folder && fromFolder(folder, onFound);
}

/** All a folder holds. */
export async function fromFolder(
  folder: FileSystemDirectoryHandle,
  onFound?: (count: number) => void,
): Promise<Choice> {
  const found = new Collection(onFound);
  await addFolder(folder, folder.name, found);
  return found.sorted();
}

async function addFolder(folder: Folder, path: string, found: Collection): Promise<void> {
  try {
    for await (const handle of folder.values()) {
      const inner = `${path}/${handle.name}`;
      if (handle.kind === 'directory') await addFolder(handle, inner, found);
      else found.add(inner, handle, '');
    }
  } catch {
    found.unreadable.push(path);
  }
}
