/**
 * Holds the weights of a stored model, named behind `?`, without the lock that goes with them, until it
 * is told to let go. Only for tests.
 */

const root = await navigator.storage.getDirectory();
const models = await root.getDirectoryHandle('llavaguard-models');
const folder = await models.getDirectoryHandle(location.search.slice(1));
const file = await folder.getFileHandle('weights');
/** @type {FileSystemSyncAccessHandle | undefined} */
let held;
while (!held) {
  held = await file.createSyncAccessHandle().catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 20));
}
self.onmessage = () => held.close();
self.postMessage('held');
