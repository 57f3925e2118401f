import { signal } from '@preact/signals';

/** Told once, so that a page that was just isolated is not loaded anew again and again. */
const RELOADED = 'llavaguard-reloaded';

/** Whether a new version of the page waits. */
export const updateWaits = signal(false);
/** Why the page could not be kept for use without a network. */
export const offlineFailure = signal<string | undefined>(undefined);
/** Whether loading the page anew would isolate it, which its host does not. */
export const canIsolate = signal(false);

let registration: ServiceWorkerRegistration | undefined;

/**
 * Starts the service worker that keeps the page working without a network, and offers its new versions.
 * Where the host does not isolate the page, the worker does from the next load on.
 */
export async function keepOffline(): Promise<void> {
  if (!('serviceWorker' in navigator) || import.meta.env.DEV) return;
  const container = navigator.serviceWorker;
  try {
    registration = await container.register('./service-worker.js', { type: 'classic' });
    offerUpdates(registration);
    await container.ready;
    canIsolate.value = !crossOriginIsolated && sessionStorage.getItem(RELOADED) === null;
  } catch (error) {
    offlineFailure.value = error instanceof Error ? error.message : String(error);
  }
}

/** Tells that a new version waits, as soon as one does. */
function offerUpdates(registration: ServiceWorkerRegistration): void {
  const offer = () => {
    if (registration.waiting && navigator.serviceWorker.controller) updateWaits.value = true;
  };
  registration.addEventListener('updatefound', () => {
    registration.installing?.addEventListener('statechange', offer);
  });
  offer();
}

/** Changes to the new version. */
export function changeToUpdate(): void {
  // Other tabs stay as they are: what their users have done there is not to be lost.
  navigator.serviceWorker.addEventListener('controllerchange', () => {
    location.reload();
  });
  registration?.waiting?.postMessage('use-new-version');
}

/** Loads the page anew, isolated by its service worker. */
export function isolate(): void {
  sessionStorage.setItem(RELOADED, 'yes');
  location.reload();
}
