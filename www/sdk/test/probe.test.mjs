import assert from 'node:assert/strict';
import { test } from 'node:test';

import { judgeProbe } from '../dist/probe.js';

const GB = 2 ** 30;

/** @param {Partial<import('../dist/probe.js').ProbeMessage>} [changes] */
function found(changes = {}) {
  return {
    manifest: {
      model_id: 'm@0',
      name: 'm',
      file: { bytes: 500e6 },
      memory: { cpu: 800e6 },
      license: { text: 'Apache-2.0' },
    },
    signedBy: null,
    stored: 0,
    free: 10e9,
    operations_per_second: 1e11,
    seconds_to_verdict: 10,
    ...changes,
  };
}

/** @param {import('../dist/index.js').Probe} probe */
const codes = (probe) => probe.reasons.map(({ code }) => code);

test('a model that fits runs, and the figures are given', () => {
  const probe = judgeProbe(found({ stored: 100e6 }), ['relaxed', 'simd'], 8, 8 * GB);
  assert.deepEqual(probe, {
    canRun: true,
    reasons: [],
    model: { id: 'm@0', name: 'm', bytes: 500e6, license: { text: 'Apache-2.0' } },
    device: 'cpu',
    builds: ['relaxed', 'simd'],
    threads: 8,
    memory: { needed: 800e6, device: 8 * GB },
    storage: { needed: 400e6, stored: 100e6, free: 10e9 },
    speed: { operationsPerSecond: 1e11, secondsToVerdict: 10 },
  });
});

test('what keeps a model from running is said with its numbers', () => {
  const noRoom = judgeProbe(found({ free: 300e6 }), ['relaxed'], 8, undefined);
  assert.equal(noRoom.canRun, false);
  assert.deepEqual(codes(noRoom), ['storage.too_little']);
  assert.match(noRoom.reasons[0]?.message ?? '', /500 MB.*300 MB/);
  // What is stored already needs no room.
  assert.ok(judgeProbe(found({ free: 300e6, stored: 250e6 }), ['relaxed'], 8, undefined).canRun);

  const small = judgeProbe(found(), ['relaxed'], 8, 0.5 * GB);
  assert.deepEqual([small.canRun, codes(small)], [false, ['memory.too_little']]);
  const huge = found();
  huge.manifest.memory['cpu'] = 5e9;
  assert.deepEqual(codes(judgeProbe(huge, ['relaxed'], 8, 64 * GB)), ['memory.too_little']);
});

test('a GPU is told of where it is used, and why it is not where it cannot have the model', () => {
  const message = found();
  message.manifest.memory['webgpu'] = 700e6;
  // A GPU has memory of its own.
  const gpu = judgeProbe(message, ['webgpu', 'relaxed'], 1, 1 * GB);
  assert.deepEqual([gpu.device, gpu.memory.needed, codes(gpu)], ['gpu', 700e6, []]);
  const refused = judgeProbe(message, ['relaxed'], 8, 8 * GB, 'The model does not fit the GPU.');
  assert.deepEqual([refused.device, refused.canRun], ['cpu', true]);
  assert.deepEqual(codes(refused), ['device.too_small']);
});

test('what may turn out badly is said and keeps nothing from running', () => {
  const probe = judgeProbe(found({ seconds_to_verdict: 95.2 }), ['simd'], 1, 1 * GB);
  assert.equal(probe.canRun, true);
  assert.deepEqual(codes(probe), ['memory.tight', 'speed.slow', 'build.single_thread']);
  assert.match(probe.reasons[1]?.message ?? '', /95 seconds/);
  assert.ok(probe.reasons.every(({ fatal }) => !fatal));
});
