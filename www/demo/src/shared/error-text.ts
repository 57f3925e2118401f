import { LlavaGuardError } from 'llavaguard';

import { strings } from '../strings/index.js';

/** What an error leaves behind in the page: its code, and the words it came with. */
export interface Failure {
  readonly code: string;
  readonly message: string;
}

/**
 * An error as a code, for tests and bug reports, and the words it came with, which say what to do next.
 */
export function failureOf(error: unknown): Failure {
  if (error instanceof LlavaGuardError) return { code: error.code, message: error.message };
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'page.unexpected', message };
}

/** A failure as a sentence in the page's language. */
export function sentenceOf({ code, message }: Failure): string {
  const { errors } = strings.value;
  if (code === 'page.unexpected') return errors.unexpected(message);
  return errors.ofPackage(code) ?? capitalised(message);
}

/** The words a failure came with, where {@link sentenceOf} says it in others. */
export function exactWords({ code, message }: Failure): string | undefined {
  return strings.value.errors.ofPackage(code) === undefined ? undefined : capitalised(message);
}

function capitalised(text: string): string {
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(sentence) ? sentence : `${sentence}.`;
}
