import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cpuBuilds, gpuAdapter, PROBES } from '../dist/builds.js';

/**
 * An environment whose engine knows some of the probes.
 * @param {(keyof typeof PROBES)[]} known
 * @param {boolean} [crossOriginIsolated]
 */
function environment(known, crossOriginIsolated) {
  const texts = known.map((name) => PROBES[name].join());
  return {
    WebAssembly: {
      validate: (/** @type {Uint8Array} */ bytes) => texts.includes([...bytes].join()),
    },
    ...(crossOriginIsolated === undefined ? {} : { crossOriginIsolated }),
  };
}

test('relaxed needs relaxed SIMD, threads and isolation; simd needs SIMD', () => {
  const all = /** @type {(keyof typeof PROBES)[]} */ (Object.keys(PROBES));
  assert.deepEqual(cpuBuilds(environment(all, true)), ['relaxed', 'relaxed-single', 'simd']);
  assert.deepEqual(cpuBuilds(environment(all, false)), ['relaxed-single', 'simd']);
  assert.deepEqual(cpuBuilds(environment(all)), ['relaxed-single', 'simd']);
  assert.deepEqual(cpuBuilds(environment(['simd', 'threads'], true)), ['simd']);
  assert.deepEqual(cpuBuilds(environment(['simd', 'relaxedSimd'], true)), [
    'relaxed-single',
    'simd',
  ]);
  assert.deepEqual(cpuBuilds(environment([], true)), []);
});

test('the probes are modules: what this engine has it accepts, cut or damaged it refuses', () => {
  for (const probe of [PROBES.simd, PROBES.threads]) {
    assert.ok(WebAssembly.validate(new Uint8Array(probe)));
    assert.ok(!WebAssembly.validate(new Uint8Array(probe.slice(0, -1))));
  }
  // An opcode no engine knows in the place of the one that is asked about.
  const unknown = PROBES.simd.with(-2, 0xff);
  assert.ok(!WebAssembly.validate(new Uint8Array(unknown)));
});

test('an adapter is named, and software is told from a GPU', async () => {
  /**
   * @param {string} vendor
   * @param {string} architecture
   * @param {boolean} [isFallbackAdapter]
   */
  const gpu = (vendor, architecture, isFallbackAdapter = false) => ({
    requestAdapter: () =>
      Promise.resolve({ info: { vendor, architecture, description: '', isFallbackAdapter } }),
  });
  assert.deepEqual(await gpuAdapter(gpu('nvidia', 'hopper')), {
    name: 'nvidia hopper',
    software: false,
    slowByteDots: false,
  });
  assert.equal((await gpuAdapter(gpu('apple', 'metal-3')))?.slowByteDots, true);
  assert.equal((await gpuAdapter(gpu('google', 'swiftshader')))?.software, true);
  assert.equal((await gpuAdapter(gpu('', '', true)))?.software, true);
  assert.equal((await gpuAdapter(gpu('', '')))?.name, 'unnamed adapter');
  const none = { requestAdapter: () => Promise.resolve(null) };
  assert.equal(await gpuAdapter(none), undefined);
  const broken = { requestAdapter: () => Promise.reject(new Error('crashed')) };
  assert.equal(await gpuAdapter(broken), undefined);
});
