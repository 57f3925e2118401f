/** The package's worker in a browser without private files; only for tests. */
Reflect.deleteProperty(StorageManager.prototype, 'getDirectory');
/** @type {MessageEvent[]} */
const early = [];
self.onmessage = (event) => early.push(event);
await import('../dist/worker/main.js');
for (const event of early) self.onmessage?.(/** @type {any} */ (event));
