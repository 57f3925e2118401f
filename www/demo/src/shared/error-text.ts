import { LlavaGuardError } from 'llavaguard';

import { strings } from '../strings/index.js';

/** An error as a sentence for the page; the package's own already say what to do next. */
export function errorText(error: unknown): string {
  if (error instanceof LlavaGuardError) return capitalised(error.message);
  const message = error instanceof Error ? error.message : String(error);
  return strings.value.errors.unexpected(message);
}

/** The stable code of an error, for tests and bug reports. */
export function errorCode(error: unknown): string {
  return error instanceof LlavaGuardError ? error.code : 'page.unexpected';
}

function capitalised(text: string): string {
  const sentence = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(sentence) ? sentence : `${sentence}.`;
}
