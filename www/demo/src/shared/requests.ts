import { computed, effect, signal } from '@preact/signals';

import { engine } from './engine.js';

/** Requests by their addresses, as one of those who see them has counted them. */
type Counts = ReadonlyMap<string, number>;

/** What the browser's timeline of this page has; it lacks those of workers. */
const byPage = signal<Counts>(new Map());
/** What the service worker let through to the network; it sees all, once it is in control. */
const byServiceWorker = signal<Counts>(new Map());
/** Loads of models that fetched something while no service worker told of it. */
const byEngine = signal<Counts>(new Map());

/** Whether requests are counted yet: only what happens after loading is. */
export const counting = signal(false);

/** The requests since the page was ready, by their addresses. */
export const requests = computed<Counts>(() => {
  const all = new Map<string, number>(byEngine.value);
  // The same request may be seen by both.
  for (const counts of [byPage.value, byServiceWorker.value]) {
    for (const [address, count] of counts) all.set(address, Math.max(all.get(address) ?? 0, count));
  }
  return all;
});

/** How many there were. */
export const requestCount = computed(() =>
  [...requests.value.values()].reduce((sum, count) => sum + count, 0),
);

function add(counts: typeof byPage, address: string): void {
  counts.value = new Map(counts.value).set(address, (counts.value.get(address) ?? 0) + 1);
}

/** Begins to count. */
export function countRequests(): void {
  const container = (navigator as { serviceWorker?: ServiceWorkerContainer }).serviceWorker;
  new PerformanceObserver((list) => {
    for (const { name, workerStart } of list.getEntries() as PerformanceResourceTiming[]) {
      // What came from the service worker's store caused no request; it tells of the others. Not every
      // browser says of an entry that the service worker had it (WebKit does not).
      const asked = container?.controller && new URL(name).origin === location.origin;
      if (!asked && workerStart === 0 && name.startsWith('http')) add(byPage, name);
    }
  }).observe({ type: 'resource' });
  container?.addEventListener(
    'message',
    ({ data }: MessageEvent<{ type?: string; url?: string }>) => {
      if (data.type === 'request' && data.url !== undefined) add(byServiceWorker, data.url);
    },
  );
  container?.startMessages();
  countLoads();
  counting.value = true;
}

/** The engine's worker may be older than the service worker, which then does not see its requests. */
function countLoads(): void {
  let told = 0;
  effect(() => {
    if (engine.loading.value) told = byServiceWorker.peek().size;
  });
  let known = engine.guard.peek();
  effect(() => {
    const guard = engine.guard.value;
    const model = engine.choice.value?.model;
    if (!guard || guard === known) return;
    known = guard;
    const unseen = byServiceWorker.peek().size === told;
    if (guard.source.fetched > 0 && unseen && model instanceof URL) add(byEngine, model.href);
  });
}
