/**
 * The WebAssembly modules of the package: `relaxed` needs relaxed SIMD and, for its threads, a
 * cross-origin-isolated page; `simd` runs in every current browser on one thread.
 */
export type BuildName = 'relaxed' | 'simd';

const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
// One function without parameters that gives a v128.
const GIVES_V128 = [0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, 0x03, 0x02, 0x01, 0x00];

/** Modules that are valid only where a feature is there. */
export const PROBES = {
  // i8x16.popcnt(i8x16.splat(0))
  simd: [
    ...HEADER,
    ...GIVES_V128,
    ...[0x0a, 0x0a, 0x01, 0x08, 0x00, 0x41, 0x00, 0xfd, 0x0f, 0xfd, 0x62, 0x0b],
  ],
  // i8x16.relaxed_swizzle(i8x16.splat(1), i8x16.splat(2))
  relaxedSimd: [
    ...HEADER,
    ...GIVES_V128,
    ...[0x0a, 0x0f, 0x01, 0x0d, 0x00, 0x41, 0x01, 0xfd, 0x0f],
    ...[0x41, 0x02, 0xfd, 0x0f, 0xfd, 0x80, 0x02, 0x0b],
  ],
  // A shared memory and drop(i32.atomic.load(0))
  threads: [
    ...HEADER,
    ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00, 0x03, 0x02, 0x01, 0x00],
    ...[0x05, 0x04, 0x01, 0x03, 0x01, 0x01],
    ...[0x0a, 0x0b, 0x01, 0x09, 0x00, 0x41, 0x00, 0xfe, 0x10, 0x02, 0x00, 0x1a, 0x0b],
  ],
};

/** What of the environment the choice depends on. */
export interface Environment {
  WebAssembly: { validate(bytes: Uint8Array<ArrayBuffer>): boolean };
  crossOriginIsolated?: boolean;
}

/** The builds that can run here, best first. Looks at features, never at the browser's name. */
export function supportedBuilds(environment: Environment = globalThis): BuildName[] {
  const has = (probe: keyof typeof PROBES) =>
    environment.WebAssembly.validate(new Uint8Array(PROBES[probe]));
  const builds: BuildName[] = [];
  if (environment.crossOriginIsolated === true && has('relaxedSimd') && has('threads')) {
    builds.push('relaxed');
  }
  if (has('simd')) builds.push('simd');
  return builds;
}
