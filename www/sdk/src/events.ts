import type { Assessment, Verdict } from './assessment.js';
import type { Progress } from './progress.js';

/** What happens while an image is judged, in this order; `progress` comes at any time. */
export type GuardEvent =
  /**
   * How far it is. After the stages `retry` and `fallback` everything begins anew: drop the verdict and
   * tokens that came before.
   */
  | ({ type: 'progress' } & Progress)
  /** Rating and category stand. */
  | ({ type: 'verdict' } & Verdict)
  /** A further piece of the rationale. */
  | { type: 'token'; text: string }
  /** The result. Nothing follows. */
  | { type: 'done'; assessment: Assessment };

/** The listeners that tell of a judgement. */
export interface Listeners {
  onProgress: (progress: Progress) => void;
  onVerdict: (verdict: Verdict) => void;
  onToken: (text: string) => void;
  signal: AbortSignal;
}

/**
 * Runs a judgement and gives its events one after another. Whoever stops reading stops the judgement.
 *
 * @throws What the judgement rejects with, behind the events that came before.
 */
export async function* eventsOf(
  judge: (listeners: Listeners) => Promise<Assessment>,
  signal: AbortSignal | undefined,
): AsyncGenerator<GuardEvent, void, undefined> {
  const following = follow(signal);
  const events: GuardEvent[] = [];
  let wake: () => void = () => undefined;
  const tell = (event: GuardEvent) => {
    events.push(event);
    wake();
  };
  let over = false as boolean;
  const judging = judge({
    signal: following.signal,
    onProgress: (progress) => {
      tell({ type: 'progress', ...progress });
    },
    onVerdict: (verdict) => {
      tell({ type: 'verdict', ...verdict });
    },
    onToken: (text) => {
      tell({ type: 'token', text });
    },
  }).finally(() => {
    over = true;
    wake();
  });
  // It is awaited below; until then its failure is nobody's surprise.
  judging.catch(() => undefined);
  try {
    for (;;) {
      for (let event = events.shift(); event; event = events.shift()) yield event;
      if (over) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    yield { type: 'done', assessment: await judging };
  } finally {
    following.abort();
  }
}

/** A controller of one's own that a caller's signal aborts too; ended by `abort`. */
export function follow(signal: AbortSignal | undefined): {
  signal: AbortSignal;
  abort: () => void;
} {
  const controller = new AbortController();
  const stop = () => {
    controller.abort(signal?.reason);
  };
  if (signal?.aborted) stop();
  else signal?.addEventListener('abort', stop, { once: true });
  return {
    signal: controller.signal,
    abort: () => {
      signal?.removeEventListener('abort', stop);
      controller.abort();
    },
  };
}
