import { LlavaGuardError } from 'llavaguard';

import type { Picture } from '../../shared/pictures.js';
import { strings } from '../../strings/index.js';

/** Most bytes that are fetched; larger images the engine refuses anyway. */
const LIMIT = 64 * 2 ** 20;

function failed(code: string, message: string): LlavaGuardError {
  return new LlavaGuardError({ code, message });
}

/** An address as a user types it, checked to be one a page can ask. */
export function pictureAddress(text: string): URL {
  const { address } = strings.value.picture;
  const trimmed = text.trim();
  const full = /^[a-z]+:/i.test(trimmed) ? trimmed : `https://${trimmed}`;
  if (trimmed === '' || !URL.canParse(full)) throw failed('page.bad_address', address.bad);
  const url = new URL(full);
  const local = url.hostname === '127.0.0.1' || url.hostname === 'localhost';
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && local)) {
    throw failed('page.bad_address', address.notHttps);
  }
  return url;
}

/**
 * Fetches a picture from another server, which learns this machine's address and what was asked for, and
 * nothing else: no cookies, no referrer.
 */
export async function fetchPicture(url: URL, signal: AbortSignal): Promise<Picture> {
  const { address } = strings.value.picture;
  let response: Response;
  try {
    response = await fetch(url, {
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
      cache: 'no-store',
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    if (!navigator.onLine) throw failed('page.offline', address.offline);
    // A page is told no more than that: not whether there is such a server, nor what it said.
    if (error instanceof TypeError) throw failed('page.not_allowed', address.notAllowed(url.host));
    throw error;
  }
  if (!response.ok) {
    throw failed('page.not_there', address.status(url.host, response.status));
  }
  const type = response.headers.get('content-type') ?? '';
  if (/^text\/|^application\/(json|xhtml)/.test(type)) {
    await response.body?.cancel();
    throw failed('page.no_picture', address.noPicture(type.split(';')[0] ?? type));
  }
  const file = await response.blob();
  if (file.size > LIMIT) throw failed('page.too_large', address.tooLarge);
  const name = decodeURIComponent(url.pathname.split('/').at(-1) ?? '');
  return { file, name: name === '' ? url.host : name };
}
