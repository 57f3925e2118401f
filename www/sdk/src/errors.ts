/** An error as it crosses from the worker. */
export interface ErrorMessage {
  code: string;
  message: string;
  place?: string;
}

/**
 * Why there is no result. None of these means that an image is safe.
 *
 * `code` is stable, e.g. `image.truncated`, `policy.unknown_key`, `model.wrong_shape`,
 * `engine.crashed`, `guard.disposed`; the part before the dot says where to look. The message is for
 * people: what was wrong with which input, and what to do.
 */
export class LlavaGuardError extends Error {
  override readonly name = 'LlavaGuardError';
  /** Stable code for programs. */
  readonly code: string;
  /** Where in a policy document the fault is, e.g. `categories.O6.can[2]`. */
  readonly place: string | undefined;

  constructor({ code, message, place }: ErrorMessage) {
    super(message);
    this.code = code;
    this.place = place;
  }
}

/** Reads an error of unknown origin; `code` where it brings none. */
export function toErrorMessage(error: unknown, code: string): ErrorMessage {
  const found = error as Partial<Record<'code' | 'message' | 'place', unknown>> | null | undefined;
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
  const place = text(found?.place);
  return {
    code: text(found?.code) ?? code,
    message: text(found?.message) ?? String(error),
    ...(place === undefined ? {} : { place }),
  };
}
