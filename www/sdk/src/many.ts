import type { Assessment } from './assessment.js';
import { LlavaGuardError } from './errors.js';
import { follow } from './events.js';
import type { ImageInput } from './image.js';

/** What became of one image of many. */
export type ManyResult<T extends ImageInput = ImageInput> =
  | {
      status: 'judged';
      /** Its place in the input, from 0. */
      index: number;
      /** The image, as it was given. */
      image: T;
      assessment: Assessment;
    }
  | {
      status: 'failed';
      index: number;
      image: T;
      /** Why it could not be judged, most often a `LlavaGuardError`. It does not mean that the image is safe. */
      error: unknown;
    };

/** Images to judge, at hand or still to come. */
export type ManyImages<T extends ImageInput> = Iterable<T> | AsyncIterable<T>;

/** How many images are on their way by default: one in the engine, one that is fetched and read meanwhile. */
export const DEFAULT_CONCURRENCY = 2;

/**
 * Judges images and gives results in the order in which they are ready.
 *
 * An image is taken from the input only when there is room for it among those on their way, and a result
 * that has not been read keeps its room: however many there are, few are in memory.
 */
export async function* assessEach<T extends ImageInput>(
  images: ManyImages<T>,
  assess: (image: T, index: number, signal: AbortSignal) => Promise<Assessment>,
  concurrency: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<ManyResult<T>, void, undefined> {
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new LlavaGuardError({
      code: 'engine.bad_option',
      message: `The option concurrency is ${String(concurrency)}. Give a whole number from 1, or leave it out.`,
    });
  }
  signal?.throwIfAborted();
  const following = follow(signal);
  const aborted = new Promise<never>((_, reject) => {
    following.signal.addEventListener('abort', () => {
      // The signal's reason is the caller's own and goes back as it is.
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      reject(signal?.reason);
    });
  });
  aborted.catch(() => undefined);
  const input =
    Symbol.asyncIterator in images ? images[Symbol.asyncIterator]() : images[Symbol.iterator]();
  const running = new Map<number, Promise<ManyResult<T>>>();
  let pulling: Promise<IteratorResult<T, unknown>> | undefined;
  let exhausted = false;
  let count = 0;
  const begin = async (image: T, index: number): Promise<ManyResult<T>> => {
    try {
      const assessment = await assess(image, index, following.signal);
      return { status: 'judged', index, image, assessment };
    } catch (error) {
      return { status: 'failed', index, image, error };
    }
  };
  try {
    for (;;) {
      if (!exhausted && !pulling && running.size < concurrency) {
        pulling = Promise.resolve(input.next());
        pulling.catch(() => undefined);
      }
      if (!pulling && running.size === 0) return;
      // Which of them it was is told by what comes: results have a status.
      const next = await Promise.race([
        aborted,
        ...running.values(),
        ...(pulling ? [pulling] : []),
      ]);
      if ('status' in next) {
        running.delete(next.index);
        yield next;
      } else {
        pulling = undefined;
        if (next.done === true) {
          exhausted = true;
        } else {
          const index = count++;
          running.set(index, begin(next.value, index));
        }
      }
      signal?.throwIfAborted();
    }
  } finally {
    following.abort();
    // Not awaited: an input that is stuck must not keep its reader.
    if (!exhausted) void Promise.resolve(input.return?.()).catch(() => undefined);
  }
}
