import { type ErrorMessage, LlavaGuardError, toErrorMessage } from '../errors.js';
import { BITMAP_OPTIONS } from '../bitmap-options.js';
import { checkSize, tooLarge } from './image-limits.js';

/** Pixels drawn at once: some browsers give no larger canvas, and say so by an empty one. */
const STRIP_PIXELS = 4 << 20;

/** Four bytes a pixel (red, green, blue, alpha), row by row from the top. */
export interface Pixels {
  width: number;
  height: number;
  pixels: Uint8Array;
}

/**
 * Decodes a file by the browser, within the engine's limits.
 *
 * @throws LlavaGuardError with `image.too_large`, or `unread`, the engine's own error, where the
 * browser does not read it either.
 */
export async function decodeByBrowser(
  bytes: Uint8Array,
  maxBytes: number,
  unread: ErrorMessage,
): Promise<Pixels> {
  if (bytes.length > maxBytes) throw tooLarge(`more than ${maxBytes} bytes`, maxBytes);
  const claimed = claimedSize(bytes);
  if (claimed) checkSize(claimed);
  let bitmap: ImageBitmap;
  try {
    const file = new Blob([bytes as Uint8Array<ArrayBuffer>], { type: mimeType(bytes) });
    bitmap = await createImageBitmap(file, BITMAP_OPTIONS);
  } catch (error) {
    const reason = toErrorMessage(error, '').message.replace(/\.$/, '');
    const message = `${unread.message} This browser does not read it either (${reason}).`;
    throw new LlavaGuardError({ ...unread, message });
  }
  try {
    return pixelsOf(bitmap);
  } finally {
    bitmap.close();
  }
}

/**
 * The pixels of a bitmap. What is wholly transparent is black: a canvas keeps no colour there.
 *
 * @throws LlavaGuardError with `image.too_large` or `image.unreadable`.
 */
export function pixelsOf(bitmap: ImageBitmap): Pixels {
  const { width, height } = bitmap;
  checkSize(bitmap);
  const rows = Math.max(1, Math.min(height, Math.floor(STRIP_PIXELS / width)));
  const context = new OffscreenCanvas(width, rows).getContext('2d', {
    willReadFrequently: true,
    colorSpace: 'srgb',
  });
  if (!context) throw noCanvas();
  // Each strip replaces the one before, its transparent parts too.
  context.globalCompositeOperation = 'copy';
  const pixels = new Uint8Array(4 * width * height);
  for (let top = 0; top < height; top += rows) {
    context.drawImage(bitmap, 0, -top);
    const strip = context.getImageData(0, 0, width, Math.min(rows, height - top));
    pixels.set(strip.data, 4 * width * top);
  }
  if (lost(context)) throw noCanvas();
  return { width, height, pixels };
}

/** Whether the canvas was lost on the way; WebKit has none that is, and does not know the question. */
function lost(context: Partial<Pick<OffscreenCanvasRenderingContext2D, 'isContextLost'>>): boolean {
  return context.isContextLost?.() === true;
}

function noCanvas(): LlavaGuardError {
  return new LlavaGuardError({
    code: 'image.unreadable',
    message:
      'The browser gave no canvas to read the picture from. Most often the tab has too little memory: close other tabs, then try again.',
  });
}

/**
 * The largest size an AVIF or HEIC file claims for any of its pictures, from its `ispe` properties
 * (ISO/IEC 23008-12, 6.5.3), so that a small file that claims a huge picture is not decoded at all; none
 * for other formats.
 */
export function claimedSize(bytes: Uint8Array): { width: number; height: number } | undefined {
  if (boxType(bytes, 0) !== 'ftyp') return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let found: { width: number; height: number } | undefined;
  // The file's properties come before its data; none are further in than this.
  const end = Math.min(bytes.length, 1 << 20) - 20;
  for (let at = 0; at <= end; at++) {
    // size 20, type, version and flags 0, then both sides.
    if (bytes[at + 3] !== 20 || boxType(bytes, at) !== 'ispe' || view.getUint32(at) !== 20)
      continue;
    const size = { width: view.getUint32(at + 12), height: view.getUint32(at + 16) };
    if (!found || size.width * size.height > found.width * found.height) found = size;
  }
  return found;
}

function boxType(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at + 4, at + 8));
}

/** By content, for browsers that go by the type; empty where the browser shall find out itself. */
function mimeType(bytes: Uint8Array): string {
  if (boxType(bytes, 0) !== 'ftyp') return '';
  const brand = String.fromCharCode(...bytes.subarray(8, 12));
  if (brand.startsWith('avi')) return 'image/avif';
  return brand.startsWith('he') || brand === 'mif1' || brand === 'msf1' ? 'image/heic' : '';
}
