import { LlavaGuardError } from '../errors.js';

/** What the engine's own decoder allows (`crates/vision/src/limits.rs`), for what others decode. */
export const MAX_SIDE = 30_000;
export const MAX_PIXELS = 120_000_000;

/** @throws LlavaGuardError with `image.too_large`. */
export function checkSize({ width, height }: { width: number; height: number }): void {
  const side = Math.max(width, height);
  if (side > MAX_SIDE) throw tooLarge(`a side of ${side} pixels`, MAX_SIDE);
  if (width * height > MAX_PIXELS) {
    throw tooLarge(`${width * height} pixels (${width}x${height})`, MAX_PIXELS);
  }
}

/** As the engine says it. */
export function tooLarge(what: string, limit: number): LlavaGuardError {
  return new LlavaGuardError({
    code: 'image.too_large',
    message: `The image has ${what}, more than the limit of ${limit}. Scale it down.`,
  });
}
