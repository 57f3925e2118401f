import { LlavaGuardError } from 'llavaguard';

import { strings } from '../strings/index.js';

/** A model's address as a user types it; one without a host is one on this page's own. */
export function modelAddress(text: string): URL {
  const trimmed = text.trim();
  if (trimmed !== '' && URL.canParse(trimmed, document.baseURI)) {
    const url = new URL(trimmed, document.baseURI);
    if (url.protocol === 'https:' || url.protocol === 'http:') return url;
  }
  throw new LlavaGuardError({
    code: 'page.bad_address',
    message: strings.value.models.badAddress,
  });
}
