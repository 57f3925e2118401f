/**
 * Keeps the page working without a network, and isolates it where its host does not send the headers
 * for that (GitHub Pages).
 *
 * All files of one version are stored together and replaced together; a new version waits until the
 * page has asked its user. Models are not this script's business: the package stores and verifies them.
 */

const VERSION = '__VERSION__';
/** @type {string[]} */
const FILES = /** @type {any} */ ('__FILES__');
const PREFIX = 'llavaguard-page-';
const CACHE = PREFIX + VERSION;

const worker = /** @type {any} */ (self);

worker.addEventListener('install', (/** @type {any} */ event) => {
  event.waitUntil(
    caches.open(CACHE).then((cache) => {
      // Past the HTTP cache: files of two versions must not meet.
      return cache.addAll(FILES.map((path) => new Request(path, { cache: 'no-cache' })));
    }),
  );
});

worker.addEventListener('activate', (/** @type {any} */ event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => {
        const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
        return Promise.all(old.map((name) => caches.delete(name)));
      })
      .then(() => worker.clients.claim()),
  );
});

worker.addEventListener('message', (/** @type {any} */ event) => {
  if (event.data === 'use-new-version') worker.skipWaiting();
});

worker.addEventListener('fetch', (/** @type {any} */ event) => {
  const { request } = event;
  const scope = worker.registration.scope;
  const foreign = request.method !== 'GET' || !request.url.startsWith(scope);
  if (foreign || request.url.startsWith(`${scope}model/`)) {
    event.waitUntil(tell(request.url));
    return;
  }
  event.respondWith(answer(request));
});

/**
 * Tells the page's tabs of a request that goes out to the network, for their counter.
 * @param {string} url
 */
async function tell(url) {
  for (const client of await worker.clients.matchAll({ type: 'window' })) {
    client.postMessage({ type: 'request', url });
  }
}

/** @param {Request} request */
async function answer(request) {
  const cache = await caches.open(CACHE);
  const page = request.mode === 'navigate' && new URL(request.url).pathname.endsWith('/index.html');
  const found = await cache.match(page ? './' : request, { ignoreSearch: true });
  if (found) return isolated(found);
  await tell(request.url);
  return isolated(await fetch(request));
}

/**
 * The response with the headers that isolate a page.
 * @param {Response} response
 */
function isolated(response) {
  if (response.type === 'opaque' || response.status === 0) return response;
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  headers.set('Cross-Origin-Resource-Policy', 'same-origin');
  const { status, statusText } = response;
  const body = [101, 204, 205, 304].includes(status) ? null : response.body;
  return new Response(body, { status, statusText, headers });
}
