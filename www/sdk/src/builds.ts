/**
 * The WebAssembly modules of the package: `webgpu` runs the network on a GPU; `relaxed` needs relaxed
 * SIMD and, for its threads, a cross-origin-isolated page; `simd` runs in every current browser on
 * one thread.
 */
export type BuildName = 'webgpu' | 'relaxed' | 'simd';

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
  /** Tells which modules are valid here. */
  WebAssembly: {
    /** Whether bytes are a module that is valid here. */
    validate(bytes: Uint8Array<ArrayBuffer>): boolean;
  };
  /** Whether memory can be shared with threads. */
  crossOriginIsolated?: boolean;
}

/** The builds on the CPU that can run here, best first. Looks at features, never at the browser's name. */
export function cpuBuilds(environment: Environment = globalThis): Exclude<BuildName, 'webgpu'>[] {
  const has = (probe: keyof typeof PROBES) =>
    environment.WebAssembly.validate(new Uint8Array(PROBES[probe]));
  const builds: Exclude<BuildName, 'webgpu'>[] = [];
  if (environment.crossOriginIsolated === true && has('relaxedSimd') && has('threads')) {
    builds.push('relaxed');
  }
  if (has('simd')) builds.push('simd');
  return builds;
}

/** What the `webgpu` build is told of the adapter; the browser tells a page more than it tells wgpu. */
export interface Adapter {
  /** For people: the vendor and the architecture. */
  name: string;
  /** Whether it is software on the CPU, which the builds for the CPU outrun. */
  software: boolean;
  /** Whether its dot products of bytes are no faster than floats. */
  slowByteDots: boolean;
}

/** The part of WebGPU that is looked at. */
export interface Gpu {
  /** Gives an adapter, where there is one. */
  requestAdapter(options: { powerPreference: 'high-performance' }): Promise<{
    info: {
      vendor: string;
      architecture: string;
      description: string;
      isFallbackAdapter?: boolean;
    };
  } | null>;
}

/** The GPU adapter a page gets, if it gets one. */
export async function gpuAdapter(
  gpu = (globalThis.navigator as { gpu?: Gpu } | undefined)?.gpu,
): Promise<Adapter | undefined> {
  const adapter = await gpu
    ?.requestAdapter({ powerPreference: 'high-performance' })
    .catch(() => null);
  if (!adapter) return undefined;
  const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
  const known = [vendor, architecture, description].filter((part) => part !== '').join(' ');
  return {
    name: known === '' ? 'unnamed adapter' : known,
    software:
      isFallbackAdapter === true || /swiftshader|llvmpipe|lavapipe|basic render/i.test(known),
    slowByteDots: /apple/i.test(vendor),
  };
}
