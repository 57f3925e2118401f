/**
 * A small server for the built page, on the loopback interface only.
 *
 *   node serve.mjs [--port N] [--no-isolation]
 *
 * It sends the headers a host should send: those that isolate the page, so that it may use threads,
 * and a content security policy. Not for the open internet.
 */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ROOT = fileURLToPath(new URL('../dist', import.meta.url));

/** @type {Record<string, string>} */
const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.gguf': 'application/octet-stream',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
  '.wasm': 'application/wasm',
};

// The same policy as in index.html, where it says why other hosts may be asked.
const SECURITY = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self' https: http://127.0.0.1:* http://localhost:*; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
};

const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/**
 * Starts the server.
 *
 * @param {object} [options]
 * @param {number} [options.port] 0 takes a free one
 * @param {boolean} [options.isolated] whether the page is cross-origin isolated
 * @param {string} [options.root] the folder that is served
 * @param {(address: string) => void} [options.onRequest] told of each request
 * @param {(request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse, headers: Record<string, string>) => boolean} [options.answerFirst]
 *   answers a request itself, or gives false
 * @returns {Promise<{ url: string, close: () => Promise<void> }>}
 */
export async function serve({
  port = 0,
  isolated = true,
  root = ROOT,
  onRequest,
  answerFirst,
} = {}) {
  const headers = { ...SECURITY, ...(isolated ? ISOLATION : {}), 'Cache-Control': 'no-cache' };
  const server = createServer((request, response) => {
    onRequest?.(request.url ?? '');
    if (answerFirst?.(request, response, headers)) return;
    answer(request, response).catch(() => {
      response.writeHead(500, headers).end();
    });
  });

  /** @type {(request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse) => Promise<void>} */
  async function answer(request, response) {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, headers).end();
      return;
    }
    const path = fileOf(request.url ?? '/');
    const found = path === undefined ? undefined : await stat(path).catch(() => undefined);
    if (path === undefined || !found?.isFile()) {
      response.writeHead(404, headers).end();
      return;
    }
    const etag = `"${found.size}-${found.mtimeMs}"`;
    const range = rangeOf(request.headers, etag, found.size);
    const [start, end] = range ?? [0, found.size];
    response.writeHead(range ? 206 : 200, {
      ...headers,
      'Accept-Ranges': 'bytes',
      'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream',
      'Content-Length': end - start,
      ETag: etag,
      ...(range ? { 'Content-Range': `bytes ${start}-${end - 1}/${found.size}` } : {}),
    });
    if (request.method === 'HEAD' || start === end) response.end();
    else createReadStream(path, { start, end: end - 1 }).pipe(response);
  }

  /**
   * The file an address stands for; none where it leads out of the folder or cannot be read.
   * @param {string} address
   */
  function fileOf(address) {
    try {
      const path = decodeURIComponent(new URL(address, 'http://localhost').pathname);
      if (path.includes('\0')) return undefined;
      return join(root, normalize(path.endsWith('/') ? `${path}index.html` : path));
    } catch {
      return undefined;
    }
  }

  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      resolve(undefined);
    });
  });
  const address = server.address();
  const bound = typeof address === 'object' && address ? address.port : port;
  return {
    url: `http://127.0.0.1:${bound}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

/**
 * The bytes a request asks for, as `[first, behind the last]`; none where it asks for all or for what
 * there is not.
 *
 * @param {import('node:http').IncomingHttpHeaders} headers
 * @param {string} etag of the version there is
 * @param {number} size
 * @returns {[number, number] | undefined}
 */
export function rangeOf(headers, etag, size) {
  const condition = headers['if-range'];
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
  if (first === undefined || (condition !== undefined && condition !== etag)) return undefined;
  const start = Number(first);
  const end = last ? Math.min(Number(last) + 1, size) : size;
  return start < end ? [start, end] : undefined;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { port: { type: 'string' }, 'no-isolation': { type: 'boolean', default: false } },
  });
  const { url } = await serve({
    port: Number(values.port ?? 8642),
    isolated: !values['no-isolation'],
  });
  console.error(`The page is at ${url} (stop with Ctrl-C)`);
}
