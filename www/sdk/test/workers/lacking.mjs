/**
 * The package's worker in a browser that lacks something: what, its address says after `?`. Only for
 * tests.
 */

/** @type {Record<string, () => unknown>} */
const LACKS = {
  files: () => Reflect.deleteProperty(StorageManager.prototype, 'getDirectory'),
  // As in a private window of Firefox.
  permission: () => {
    StorageManager.prototype.getDirectory = () =>
      Promise.reject(new DOMException('Security error when calling GetDirectory', 'SecurityError'));
  },
  handles: () => Reflect.deleteProperty(FileSystemFileHandle.prototype, 'createSyncAccessHandle'),
  caches: () => {
    CacheStorage.prototype.open = () =>
      Promise.reject(new DOMException('The operation is insecure.', 'SecurityError'));
  },
  // As Safari before version 17.
  estimate: () => Reflect.deleteProperty(StorageManager.prototype, 'estimate'),
  locks: () => Reflect.deleteProperty(Object.getPrototypeOf(navigator), 'locks'),
  // Responses that are read in pieces of the browser's own.
  buffers: () => {
    const { getReader } = ReadableStream.prototype;
    ReadableStream.prototype.getReader = /** @type {typeof getReader} */ (
      function (/** @type {any} */ options) {
        if (options) throw new TypeError('this stream has no such reader');
        return Reflect.apply(getReader, this, []);
      }
    );
  },
  // A file that is another's at first; the other is told so.
  patience: () => {
    const { createSyncAccessHandle } = FileSystemFileHandle.prototype;
    FileSystemFileHandle.prototype.createSyncAccessHandle = async function () {
      try {
        return await Reflect.apply(createSyncAccessHandle, this, []);
      } catch (error) {
        new BroadcastChannel('met').postMessage(null);
        throw error;
      }
    };
  },
};

for (const name of new URL(location.href).search.slice(1).split('&')) LACKS[name]?.();

/** @type {MessageEvent[]} */
const early = [];
self.onmessage = (event) => early.push(event);
await import('../../dist/worker/main.js');
for (const event of early) self.onmessage?.(/** @type {any} */ (event));
