import type { PolicyDocument } from 'llavaguard';
import { LlavaGuardError } from 'llavaguard';

import { strings } from '../strings/index.js';
import type { PagePolicy } from './policy-store.js';
import type { Thresholds } from './thresholds.js';

/** Most bytes a shared policy unpacks to: a link could claim to hold gigabytes. */
const LIMIT = 512 * 1024;

/** A policy with thresholds, as it is exported and shared. Without any it is the bare document. */
interface Exported {
  policy: PolicyDocument;
  thresholds: Thresholds;
}

/**
 * The text of a policy file. A policy without thresholds is a plain policy document, as the command line
 * and the package take it; thresholds are this page's own, and stand beside the document.
 */
export function exportText({ document, thresholds }: PagePolicy): string {
  const plain = Object.keys(thresholds).length === 0;
  const content = plain ? document : ({ policy: document, thresholds } satisfies Exported);
  return `${JSON.stringify(content, null, 2)}\n`;
}

/** What a policy file holds: a page's policy, or the text of a document for the engine to check. */
export function importText(text: string): PagePolicy | string {
  try {
    const found = JSON.parse(text) as Partial<Exported> | null;
    if (found && typeof found === 'object' && typeof found.policy === 'object') {
      return { document: found.policy, thresholds: checked(found.thresholds) };
    }
  } catch (error) {
    if (error instanceof LlavaGuardError) throw error;
    // The engine says better where it is no JSON.
  }
  return text;
}

/** The address of this page with a policy in it, behind the `#`, which is sent to no server. */
export async function linkTo(policy: PagePolicy): Promise<string> {
  const packed = await through(
    new Blob([JSON.stringify({ policy: policy.document, thresholds: policy.thresholds })]),
    new CompressionStream('deflate-raw'),
  );
  const address = new URL(location.href);
  address.hash = `/judge?policy=${toBase64Url(packed)}`;
  return address.href;
}

/** The policy of a link. */
export async function policyOf(parameter: string): Promise<PagePolicy | string> {
  let text: string;
  try {
    const packed = new Blob([fromBase64Url(parameter)]);
    const bytes = await through(packed, new DecompressionStream('deflate-raw'));
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new LlavaGuardError({
      code: 'page.bad_link',
      message: strings.value.policy.badLink,
    });
  }
  return importText(text);
}

function checked(thresholds: unknown): Thresholds {
  const entries = Object.entries((thresholds ?? {}) as Record<string, unknown>);
  for (const [id, value] of entries) {
    if (typeof value !== 'number' || !(value >= 0.01 && value <= 0.99)) {
      throw new LlavaGuardError({
        code: 'page.bad_threshold',
        message: strings.value.policy.badThreshold(id),
      });
    }
  }
  return Object.fromEntries(entries) as Thresholds;
}

async function through(
  data: Blob,
  transform: CompressionStream | DecompressionStream,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = data.stream().pipeThrough(transform).getReader();
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.byteLength;
    if (bytes > LIMIT) {
      await reader.cancel();
      throw new RangeError('the policy is too long');
    }
    pieces.push(value);
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

function toBase64Url(bytes: Uint8Array): string {
  const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
  return text.replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}
