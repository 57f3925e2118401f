import { signal } from '@preact/signals';

import type { PagePolicy } from './policy-store.js';

/** What happened last to the whole policy (imported, shared…), for people. */
export const told = signal('');
/** Why the last import did not come about. */
export const failure = signal<unknown>(undefined);
/** The link that was made last; it holds as long as its policy is in force. */
export const link = signal<{ address: string; of: PagePolicy; copied: boolean } | undefined>(
  undefined,
);

/** Says what happened; what was said before no longer holds. */
export function tell(message: string): void {
  failure.value = undefined;
  link.value = undefined;
  told.value = message;
}

/** Says why something did not come about. */
export function tellFailure(error: unknown): void {
  tell('');
  failure.value = error;
}
