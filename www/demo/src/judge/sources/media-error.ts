import { LlavaGuardError } from 'llavaguard';

import { strings } from '../../strings/index.js';

export type MediaSource = 'camera' | 'screen';

const REASONS: Record<string, 'denied' | 'none' | 'busy'> = {
  NotAllowedError: 'denied',
  SecurityError: 'denied',
  NotFoundError: 'none',
  NotReadableError: 'busy',
};

/** What the browser says when it gives no camera or screen, in sentences that help. */
export function mediaError(error: unknown, source: MediaSource): unknown {
  const reason = error instanceof DOMException ? REASONS[error.name] : undefined;
  if (reason === undefined) return error;
  const message = strings.value.picture.media[source][reason];
  return new LlavaGuardError({ code: `page.${source}_${reason}`, message });
}
