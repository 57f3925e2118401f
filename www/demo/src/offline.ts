import { element } from './dom.js';

/** Told once, so that a page that was just isolated is not loaded anew again and again. */
const RELOADED = 'llavaguard-reloaded';

/**
 * Starts the service worker that keeps the page working without a network, and offers its new versions.
 * Where the host does not isolate the page, the worker does from the next load on.
 */
export async function keepOffline(): Promise<void> {
  if (!('serviceWorker' in navigator) || import.meta.env.DEV) return;
  const container = navigator.serviceWorker;
  try {
    const registration = await container.register('./service-worker.js', { type: 'classic' });
    offerUpdates(registration);
    await container.ready;
    offerIsolation();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const note = element('model-source', HTMLParagraphElement);
    note.append(` The page itself could not be kept for use without a network (${reason}).`);
  }
}

/** Shows that a new version waits, as soon as one does. */
function offerUpdates(registration: ServiceWorkerRegistration): void {
  const banner = element('page-update', HTMLParagraphElement);
  const offer = () => {
    if (registration.waiting && navigator.serviceWorker.controller) banner.hidden = false;
  };
  element('page-update-now', HTMLButtonElement).addEventListener('click', () => {
    // Other tabs stay as they are: what their users have done there is not to be lost.
    navigator.serviceWorker.addEventListener('controllerchange', () => {
      location.reload();
    });
    registration.waiting?.postMessage('use-new-version');
  });
  registration.addEventListener('updatefound', () => {
    registration.installing?.addEventListener('statechange', offer);
  });
  offer();
}

/** Says why one thread is used, and how to get more where the worker can isolate the page now. */
function offerIsolation(): void {
  if (crossOriginIsolated) return;
  const button = element('isolate', HTMLButtonElement);
  button.hidden = sessionStorage.getItem(RELOADED) !== null;
  button.addEventListener('click', () => {
    sessionStorage.setItem(RELOADED, 'yes');
    location.reload();
  });
}

/** Tells whether the page is isolated. */
export function showIsolation(): void {
  element('not-isolated', HTMLDivElement).hidden = crossOriginIsolated;
}
