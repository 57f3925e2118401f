/**
 * The tests' server with things going wrong where a model is fetched: below `/faulty/`, each request for
 * a model's file meets the faults that are set.
 */

import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { rangeOf, serve } from '../../www/demo/scripts/serve.mjs';
import { demoManifest, demoModel } from './materials.mjs';

/**
 * What may go wrong with a request; each is a probability unless said otherwise.
 *
 * @typedef {object} Faults
 * @property {number} [cut] the connection ends at a random byte
 * @property {number} [wrongBytes] one bit is another
 * @property {number} [wrongLength] fewer bytes than were asked for
 * @property {number} [stall] nothing comes any more
 * @property {number} [serverError] 503
 * @property {number} [tooMany] 429 with Retry-After
 * @property {number} [changedEtag] the validator is another than before
 * @property {boolean} [noRanges] ranges are ignored
 * @property {boolean} [unreachable] no connection, for the manifest neither
 * @property {number} [bytesPerSecond] how fast a connection is; as fast as it goes where absent
 */

/** @typedef {NonNullable<NonNullable<Parameters<typeof serve>[0]>['answerFirst']>} AnswerFirst */

/**
 * Starts the server over `www/`; `other` answers what is not below `/faulty/`, or gives false.
 * @param {AnswerFirst} [other]
 */
export async function serveFaulty(other = () => false) {
  const model = demoModel();
  const manifest = JSON.stringify(demoManifest());
  /** @type {{ faults: Faults, served: number, requests: string[], etag: number, model: Buffer, manifest: string }} */
  const state = { faults: {}, served: 0, requests: [], etag: 1, model, manifest };

  /** @type {AnswerFirst} */
  const answerFirst = (request, response, headers) => {
    const [, name] = /^\/faulty\/([^?]+)/.exec(request.url ?? '') ?? [];
    if (name === undefined) return other(request, response, headers);
    if (state.faults.unreachable) {
      request.socket.destroy();
      return true;
    }
    if (name === 'manifest.json') {
      response
        .writeHead(200, { ...headers, 'Content-Type': 'application/json' })
        .end(state.manifest);
      return true;
    }
    state.requests.push(request.headers.range ?? 'whole');
    answer(request, response, headers).catch(() => response.destroy());
    return true;
  };

  /** @param {number | undefined} probability */
  const chance = (probability = 0) => Math.random() < probability;

  /** @type {(request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse, headers: Record<string, string>) => Promise<void>} */
  async function answer(request, response, headers) {
    const { faults } = state;
    if (chance(faults.serverError)) return void response.writeHead(503, headers).end('busy');
    if (chance(faults.tooMany)) {
      return void response.writeHead(429, { ...headers, 'Retry-After': '1' }).end();
    }
    if (chance(faults.changedEtag)) state.etag += 1;
    const etag = `"${state.etag}"`;
    const size = state.model.length;
    const range = faults.noRanges ? undefined : rangeOf(request.headers, etag, size);
    const [start, end] = range ?? [0, size];
    let body = Buffer.from(state.model.subarray(start, end));
    if (chance(faults.wrongBytes)) {
      const at = randomInt(body.length);
      body.writeUInt8(body.readUInt8(at) ^ 1, at);
    }
    if (chance(faults.wrongLength)) body = body.subarray(0, randomInt(body.length));
    response.writeHead(range ? 206 : 200, {
      ...headers,
      'Content-Type': 'application/octet-stream',
      'Content-Length': body.length,
      ETag: etag,
      ...(range ? { 'Content-Range': `bytes ${start}-${end - 1}/${size}` } : {}),
    });
    const closed = new AbortController();
    response.once('close', () => closed.abort());
    const cut = chance(faults.cut) ? randomInt(body.length) : Infinity;
    const stall = chance(faults.stall) ? randomInt(body.length) : Infinity;
    const piece = faults.bytesPerSecond ? Math.ceil(faults.bytesPerSecond / 50) : 64 << 10;
    for (let at = 0; at < body.length && !response.destroyed; at += piece) {
      if (at + piece > cut) return void response.destroy();
      // It stays open; the other side has to notice.
      if (at + piece > stall) return;
      const bytes = body.subarray(at, at + piece);
      state.served += bytes.length;
      if (!response.write(bytes)) {
        await once(response, 'drain', { signal: closed.signal }).catch(() => undefined);
      }
      if (faults.bytesPerSecond) await sleep(20);
    }
    response.end();
  }

  const root = fileURLToPath(new URL('../../www', import.meta.url));
  return { ...(await serve({ root, answerFirst })), state };
}
