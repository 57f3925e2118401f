import { LlavaGuardError } from './errors.js';
import type { ImageMessage } from './messages.js';

/** An image to judge: a file (PNG, JPEG, WebP, GIF, BMP), its bytes, or pixels. */
export type ImageInput = Blob | ArrayBuffer | Uint8Array | ImageData;

/** What is sent to the worker. Nothing is transferred: the caller keeps what it gave. */
export function imageMessage(image: ImageInput): ImageMessage {
  if (image instanceof Blob) return { kind: 'file', file: image };
  if (image instanceof ArrayBuffer) return { kind: 'bytes', bytes: new Uint8Array(image) };
  if (image instanceof Uint8Array) return { kind: 'bytes', bytes: image };
  if (typeof ImageData !== 'undefined' && image instanceof ImageData) {
    return { kind: 'rgba', width: image.width, height: image.height, pixels: image.data };
  }
  throw new LlavaGuardError({
    code: 'image.unsupported_input',
    message: 'This is not an image. Give a File, a Blob, its bytes, or ImageData.',
  });
}
