import type { Image } from '../../wasm/simd/llavaguard.js';
import { LlavaGuardError, toErrorMessage } from '../errors.js';
import type { ImageMessage } from '../messages.js';
import { decodeByBrowser, pixelsOf } from './browser-decoder.js';
import { dataUrlBytes } from './data-url.js';
import type { Module } from './glue.js';
import { tooLarge } from './image-limits.js';

/** An image in the worker, ready for the engine as often as it is asked for. */
export interface HeldImage {
  content:
    | { kind: 'encoded'; bytes: Uint8Array }
    | { kind: 'rgba'; width: number; height: number; pixels: Uint8Array };
  /** Milliseconds the browser took to decode it; 0 where the engine does. */
  decodedIn: number;
}

/**
 * Takes what the page sent: reads the file, fetches the address, draws the bitmap.
 *
 * @throws LlavaGuardError with `image.…`; the signal's reason when aborted.
 */
export async function holdImage(
  message: ImageMessage,
  maxBytes: number,
  signal: AbortSignal,
): Promise<HeldImage> {
  switch (message.kind) {
    case 'rgba': {
      const { width, height } = message;
      const { buffer, byteOffset, byteLength } = message.pixels;
      const pixels = new Uint8Array(buffer, byteOffset, byteLength);
      return { content: { kind: 'rgba', width, height, pixels }, decodedIn: 0 };
    }
    case 'bitmap':
      try {
        return { content: { kind: 'rgba', ...pixelsOf(message.bitmap) }, decodedIn: 0 };
      } finally {
        message.bitmap.close();
      }
    case 'bytes':
      return encoded(message.bytes);
    case 'url':
      return encoded(await fetchImage(message.url, maxBytes, signal));
    case 'file': {
      // A file too large for the engine is not even read: it might not fit the tab.
      const { file } = message;
      const part = file.size > maxBytes ? file.slice(0, maxBytes + 1) : file;
      const bytes = await part.arrayBuffer().catch((error: unknown) => {
        throw new LlavaGuardError({
          code: 'image.unreadable',
          message: `The file could not be read (${String(error)}). It may have been moved or changed: choose it again.`,
        });
      });
      return encoded(new Uint8Array(bytes));
    }
  }
}

function encoded(bytes: Uint8Array): HeldImage {
  return { content: { kind: 'encoded', bytes }, decodedIn: 0 };
}

/**
 * Gives an image to the engine. Its own decoder comes first: it gives the pixels that the model's
 * training saw, in every browser the same, and refuses what is cut short. The browser's decoder is asked
 * for what the engine does not read; whatever else is wrong with an image stays an error.
 */
export async function withImage<T>(
  held: HeldImage,
  { Image: Images, maxImageBytes }: Pick<Module, 'Image' | 'maxImageBytes'>,
  run: (image: Image) => Promise<T>,
): Promise<T> {
  const { content } = held;
  if (content.kind === 'encoded') {
    try {
      return await run(Images.encoded(content.bytes));
    } catch (error) {
      const { code, message } = toErrorMessage(error, '');
      if (code !== 'image.unsupported_format' && code !== 'image.unsupported_feature') throw error;
      const started = performance.now();
      const decoded = await decodeByBrowser(content.bytes, maxImageBytes(), { code, message });
      held.content = { kind: 'rgba', ...decoded };
      held.decodedIn = performance.now() - started;
      return withImage(held, { Image: Images, maxImageBytes }, run);
    }
  }
  return run(Images.rgba(content.width, content.height, content.pixels));
}

/** Fetches an image, and no more of it than the engine takes. */
async function fetchImage(
  url: string,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  signal.throwIfAborted();
  const data = dataUrlBytes(url);
  if (data) return data;
  const { protocol, origin } = new URL(url);
  const shown = protocol === 'blob:' ? 'a blob: address' : url;
  const failed = (reason: string) => {
    const foreign = protocol !== 'blob:' && origin !== location.origin;
    return new LlavaGuardError({
      code: 'image.fetch_failed',
      message:
        `The image could not be fetched from ${shown}: ${reason}. `
        + (foreign
          ? 'It lies on another origin, which has to allow that by Access-Control-Allow-Origin (CORS); the browser does not tell whether that was it. Save the image and give the file, or serve it from this origin.'
          : 'Check the address and the connection, and whether the content security policy allows it (connect-src), or give the file itself.'),
    });
  };
  let response: Response;
  try {
    response = await fetch(url, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw failed(toErrorMessage(error, '').message);
  }
  if (!response.ok) {
    throw new LlavaGuardError({
      code: 'image.http_status',
      message: `The image could not be fetched from ${shown}: the server said ${response.status}. Check the address.`,
    });
  }
  try {
    return await readAtMost(response, maxBytes);
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof LlavaGuardError ? error : failed(toErrorMessage(error, '').message);
  }
}

async function readAtMost(response: Response, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  const reader = response.body?.getReader();
  for (let read = await reader?.read(); read?.value; read = await reader?.read()) {
    pieces.push(read.value);
    size += read.value.length;
    if (size > maxBytes) {
      await reader?.cancel().catch(() => undefined);
      throw tooLarge(`more than ${maxBytes} bytes`, maxBytes);
    }
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}
