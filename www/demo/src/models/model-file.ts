import { signal } from '@preact/signals';
import {
  forgetModelFile,
  LlavaGuardError,
  openModelFile,
  rememberedModelFile,
  rememberModelFile,
} from 'llavaguard';

import { engine } from '../shared/engine.js';
import { strings } from '../strings/index.js';

/** A picker that gives handles, which can be remembered; not every browser has one. */
type Picker = (options: {
  types: { description: string; accept: Record<string, string[]> }[];
}) => Promise<FileSystemFileHandle[]>;

/** The model file that was used last, where the browser can remember one. */
export const rememberedFile = signal<FileSystemFileHandle | undefined>(undefined);

/** Looks whether a file was used before; it lies where it lay. */
export async function lookForRememberedFile(): Promise<void> {
  rememberedFile.value = await rememberedModelFile();
}

/** Loads a file the user has chosen or dropped, and remembers it where the browser can. */
export async function loadModelFile(
  file: File,
  handle?: Promise<FileSystemHandle | null> | FileSystemHandle,
): Promise<void> {
  const found = await handle;
  // By its kind: the class is not there in pages that are not served over HTTPS.
  if (found?.kind === 'file') {
    await rememberModelFile(found as FileSystemFileHandle).catch(() => undefined);
    void lookForRememberedFile();
  }
  await engine.load({ model: file, name: file.name });
}

/**
 * Loads the file that was used last; forgets it where it is gone, or where the user declines.
 *
 * @throws LlavaGuardError `page.file_gone` then
 */
export async function loadRememberedFile(): Promise<void> {
  const handle = rememberedFile.value;
  if (!handle) return;
  let file: File;
  try {
    file = await openModelFile(handle);
  } catch {
    await forgetModelFile();
    rememberedFile.value = undefined;
    throw new LlavaGuardError({
      code: 'page.file_gone',
      message: strings.value.models.fileGone(handle.name),
    });
  }
  await engine.load({ model: file, name: file.name });
}

/** The browser's picker that gives handles, where it has one. */
export function handlePicker(description: string): (() => Promise<void>) | undefined {
  const { showOpenFilePicker: pick } = globalThis as { showOpenFilePicker?: Picker };
  if (!pick) return undefined;
  return async () => {
    const accept = { 'application/octet-stream': ['.gguf'] };
    // Whoever closes the picker wants nothing.
    const [handle] = await pick({ types: [{ description, accept }] }).catch(() => []);
    if (handle) await loadModelFile(await handle.getFile(), handle);
  };
}
