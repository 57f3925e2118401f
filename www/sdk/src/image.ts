import { BITMAP_OPTIONS } from './bitmap-options.js';
import { LlavaGuardError, toErrorMessage } from './errors.js';
import type { ImageMessage } from './messages.js';

/**
 * An image to judge.
 *
 * - A file or its bytes: PNG, JPEG, WebP, GIF and BMP are read by the engine, to the bit as the model's
 *   training read them; other formats (AVIF, HEIC) where this browser reads them.
 * - An address, absolute or relative to the page: fetched once, with the call's signal. A `data:` address
 *   works under any content security policy; another origin has to allow it (CORS).
 * - What a page shows: `<img>`, `<canvas>`, `OffscreenCanvas`, `<video>` (its current picture),
 *   `ImageBitmap`, `VideoFrame`. It is copied when the call is made, so the caller may go on with it. Pixels
 *   from another origin that did not allow their use are refused.
 * - `ImageData`: bare pixels. Of transparent pixels the colour counts, not what lies behind them.
 */
export type ImageInput =
  | Blob
  | ArrayBuffer
  | Uint8Array
  | string
  | URL
  | ImageData
  | ImageBitmap
  | HTMLImageElement
  | HTMLCanvasElement
  | HTMLVideoElement
  | OffscreenCanvas
  | VideoFrame;

/** An image on its way to the worker. */
export interface OutgoingImage {
  message: ImageMessage;
  /** What the worker gets for good. Nothing of the caller's is ever among it. */
  transfer?: Transferable[];
}

/**
 * What is sent to the worker. What a page shows is copied at once, before this returns; only an `<img>`
 * that is still loading is waited for.
 */
export function outgoingImage(
  image: ImageInput,
  baseUrl: string,
  signal?: AbortSignal,
): OutgoingImage | Promise<OutgoingImage> {
  // By the name its class gives it, so that an image from another frame is known too.
  switch (typeof image === 'string' ? 'URL' : Object.prototype.toString.call(image).slice(8, -1)) {
    case 'Blob':
    case 'File':
      return { message: { kind: 'file', file: image as Blob } };
    case 'ArrayBuffer':
      return { message: { kind: 'bytes', bytes: new Uint8Array(image as ArrayBuffer) } };
    case 'Uint8Array':
      return { message: { kind: 'bytes', bytes: image as Uint8Array } };
    case 'URL':
      return { message: { kind: 'url', url: absolute(image as string | URL, baseUrl) } };
    case 'ImageData': {
      const { width, height, data } = image as ImageData;
      // Wider channels than 8 bits are a proposal that browsers are taking up.
      if (!((data as unknown) instanceof Uint8ClampedArray)) throw unsupported();
      return { message: { kind: 'rgba', width, height, pixels: data } };
    }
    case 'ImageBitmap':
    case 'HTMLCanvasElement':
    case 'OffscreenCanvas':
    case 'HTMLVideoElement':
    case 'VideoFrame':
      return snapshot(image as ImageBitmapSource);
    case 'HTMLImageElement': {
      const element = image as HTMLImageElement;
      return element.complete ? snapshot(element) : whenLoaded(element, signal).then(snapshot);
    }
    default:
      throw unsupported();
  }
}

function unsupported(): LlavaGuardError {
  return new LlavaGuardError({
    code: 'image.unsupported_input',
    message:
      'This is not an image. Give a File or Blob, its bytes, an address, an img, canvas or video element, an ImageBitmap, a VideoFrame or ImageData.',
  });
}

function absolute(url: string | URL, baseUrl: string): string {
  try {
    return new URL(url, baseUrl).href;
  } catch {
    throw new LlavaGuardError({
      code: 'image.bad_address',
      message: `"${String(url).slice(0, 80)}" is no address of an image. Give one relative to the page or one that begins with https:.`,
    });
  }
}

async function snapshot(source: ImageBitmapSource): Promise<OutgoingImage> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(source, BITMAP_OPTIONS);
  } catch (error) {
    throw new LlavaGuardError({
      code: 'image.unreadable',
      message: `The browser gives no picture of this element (${toErrorMessage(error, '').message}). Wait until it shows one, and give elements that are neither broken, closed nor empty.`,
    });
  }
  return { message: { kind: 'bitmap', bitmap }, transfer: [bitmap] };
}

/** Waits until an element has its picture. */
async function whenLoaded(
  element: HTMLImageElement,
  signal: AbortSignal | undefined,
): Promise<HTMLImageElement> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const aborted = () => {
      // The signal's reason is the caller's own and goes back as it is.
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', aborted, { once: true });
    const over = () => {
      signal?.removeEventListener('abort', aborted);
      resolve();
    };
    // Whether it failed is seen when it is copied.
    element.decode().then(over, over);
  });
  return element;
}

/**
 * A bitmap of another origin's pixels cannot be sent on; the browser then says no more than that it
 * cannot be cloned.
 */
export function notSent(error: unknown, image: ImageMessage): unknown {
  if (image.kind !== 'bitmap' || !(error instanceof DOMException)) return error;
  return new LlavaGuardError({
    code: 'image.cross_origin',
    message:
      'The pixels come from another origin that has not allowed their use. Set crossorigin="anonymous" on the element (its server must send Access-Control-Allow-Origin), or give the file itself.',
  });
}
