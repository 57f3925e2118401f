import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PROBES, supportedBuilds } from '../dist/builds.js';

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
  assert.deepEqual(supportedBuilds(environment(all, true)), ['relaxed', 'simd']);
  assert.deepEqual(supportedBuilds(environment(all, false)), ['simd']);
  assert.deepEqual(supportedBuilds(environment(all)), ['simd']);
  assert.deepEqual(supportedBuilds(environment(['simd', 'threads'], true)), ['simd']);
  assert.deepEqual(supportedBuilds(environment(['simd', 'relaxedSimd'], true)), ['simd']);
  assert.deepEqual(supportedBuilds(environment([], true)), []);
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
