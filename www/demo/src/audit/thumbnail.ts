import { fileOf, type Row } from './row.js';
import type { Rows } from './rows.js';

/** Twice the size they are shown at, for screens that are dense. */
const WIDTH = 128;
const HEIGHT = 96;

/**
 * A picture as a JPEG of some three kilobytes, small enough that a thousand may be held; `null` where
 * the browser cannot decode it.
 */
export async function thumbnailOf(file: Blob): Promise<Blob | null> {
  let bitmap: ImageBitmap | undefined;
  try {
    // By height alone: the browser keeps the ratio, and a large photo is never held whole by the page.
    bitmap = await createImageBitmap(file, { resizeHeight: HEIGHT, resizeQuality: 'medium' });
    const scale = Math.min(1, WIDTH / bitmap.width);
    const width = Math.max(1, Math.round(bitmap.width * scale));
    const height = Math.max(1, Math.round(bitmap.height * scale));
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d');
    if (!context) return null;
    // JPEG knows no transparency, and would show it black.
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0, width, height);
    return await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.75 });
  } catch {
    return null;
  } finally {
    bitmap?.close();
  }
}

/** Makes small pictures one at a time, what was asked for last first: that is what is being looked at. */
export class Thumbnails {
  readonly #rows: Rows;
  #wanted: Row[] = [];
  #working = false;

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  /** Asks for a row's small picture, if it has none yet. */
  want(row: Row): void {
    if (row.thumbnail !== undefined) return;
    this.#wanted = this.#wanted.filter((other) => other !== row);
    this.#wanted.push(row);
    if (!this.#working) void this.#work();
  }

  /** Forgets what was asked for. */
  clear(): void {
    this.#wanted = [];
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let row = this.#wanted.pop(); row; row = this.#wanted.pop()) {
      if (row.thumbnail !== undefined) continue;
      this.#rows.setThumbnail(row, await fileOf(row).then(thumbnailOf, () => null));
    }
    this.#working = false;
  }
}
