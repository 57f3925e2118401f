// The package's worker script, with a way to lose the GPU: a message on the channel `destroy` destroys
// every device that was asked for.

import '../dist/worker/main.js';

/** @typedef {{ destroy(): void }} Device */
/** @typedef {{ requestDevice: (this: Adapter, ...options: unknown[]) => Promise<Device> }} Adapter */

/** @type {Device[]} */
const devices = [];
const { GPUAdapter } = /** @type {{ GPUAdapter?: { prototype: Adapter } }} */ (
  /** @type {unknown} */ (globalThis)
);
if (GPUAdapter) {
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (/** @type {unknown[]} */ ...options) {
    const device = await requestDevice.apply(this, options);
    devices.push(device);
    return device;
  };
}
new BroadcastChannel('destroy').onmessage = () => {
  for (const device of devices) device.destroy();
};
