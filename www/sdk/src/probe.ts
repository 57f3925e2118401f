import type { BuildName } from './builds.js';

/** Whether a model will run here, found out before any of it is fetched. */
export interface Probe {
  /** Whether it will. */
  canRun: boolean;
  /** Why not, and what may turn out badly. */
  reasons: ProbeReason[];
  /** The model. */
  model: {
    /** Its name and the beginning of its weights' SHA-256. */
    id: string;
    /** Its name. */
    name: string;
    /** Its size in bytes. */
    bytes: number;
    /** The public key that signed the manifest. */
    signedBy?: string;
    /** Its licence. */
    license?: { text: string; url?: string };
  };
  /** What it would run on: the GPU where the best build uses one and the model fits it. */
  device: 'cpu' | 'gpu';
  /** The builds that run here, best first. */
  builds: BuildName[];
  /** Threads the best of them would use. */
  threads: number;
  /** Bytes of memory. */
  memory: {
    /** What judging an image takes. */
    needed: number;
    /** What the device has, as far as the browser tells; most tell a rounded figure or none. */
    device?: number;
  };
  /** Bytes of storage. */
  storage: {
    /** What is still to be fetched and stored. */
    needed: number;
    /** What is stored of the model already. */
    stored: number;
    /** What the browser still allows, where it tells. */
    free?: number;
  };
  /** What was measured, and what follows from it. */
  speed: {
    /** Multiplications and additions a second, in products of the model's kind. */
    operationsPerSecond: number;
    /** From an image at detail `low` to its verdict: an estimate within a factor of two. */
    secondsToVerdict: number;
  };
}

/** Why a model does not run, or may not run well. */
export interface ProbeReason {
  /**
   * Stable code: `memory.too_little`, `storage.too_little`, `memory.tight`, `device.too_small` (it does not
   * fit the GPU), `speed.slow`, `build.single_thread`.
   */
  code: string;
  /** For people. */
  message: string;
  /** Whether it keeps the model from running. */
  fatal: boolean;
}

/** What the worker finds out. */
export interface ProbeMessage {
  manifest: {
    model_id: string;
    name: string;
    file: { bytes: number };
    memory: Record<string, number>;
    license?: { text: string; url?: string };
  };
  signedBy: string | null;
  stored: number;
  free: number | null;
  operations_per_second: number;
  seconds_to_verdict: number;
}

/** A WebAssembly memory's bound. */
const ADDRESSABLE = 2 ** 32;
/** A verdict that takes longer is called slow, in seconds. */
const SLOW = 30;

/** Why a model that takes so many bytes of memory on a CPU fits no page, where it does not. */
export function memoryRefusal(memory: number): string | undefined {
  if (memory <= ADDRESSABLE) return undefined;
  return `The model needs ${megabytes(memory)} of memory and a page can have ${megabytes(ADDRESSABLE)}. Use a smaller format of it.`;
}

const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6).toLocaleString('en')} MB`;

/** What it finds out where the GPU cannot have the model. */
export interface GpuRefusal {
  gpuRefused: string;
}

/** Weighs what was found out; `gpuRefused` says why a GPU that is there is not used. */
export function judgeProbe(
  found: ProbeMessage,
  builds: BuildName[],
  threads: number,
  deviceMemory: number | undefined,
  gpuRefused?: string,
): Probe {
  const { manifest, signedBy, stored } = found;
  const device = builds[0] === 'webgpu' ? 'gpu' : 'cpu';
  const memory = manifest.memory[device === 'gpu' ? 'webgpu' : 'cpu'] ?? manifest.file.bytes;
  const needed = Math.max(0, manifest.file.bytes - stored);
  const reasons: ProbeReason[] = [];
  const say = (fatal: boolean, code: string, message: string) =>
    reasons.push({ code, message, fatal });
  if (gpuRefused !== undefined) say(false, 'device.too_small', gpuRefused);
  const tooLarge = device === 'cpu' ? memoryRefusal(memory) : undefined;
  if (tooLarge !== undefined) {
    say(true, 'memory.too_little', tooLarge);
  } else if (device === 'cpu' && deviceMemory !== undefined && memory > deviceMemory / 2) {
    say(
      memory > deviceMemory,
      memory > deviceMemory ? 'memory.too_little' : 'memory.tight',
      `The model needs ${megabytes(memory)} of memory and this device has about ${megabytes(deviceMemory)}. Close other tabs, or use a smaller format of it.`,
    );
  }
  if (found.free !== null && needed > found.free) {
    say(
      true,
      'storage.too_little',
      `The model needs ${megabytes(needed)} more storage and the browser allows ${megabytes(found.free)}. Delete other models or free some space.`,
    );
  }
  if (found.seconds_to_verdict > SLOW) {
    say(
      false,
      'speed.slow',
      `A verdict would take about ${Math.round(found.seconds_to_verdict)} seconds here.`,
    );
  }
  if (builds[0] === 'relaxed-single' || builds[0] === 'simd') {
    say(
      false,
      'build.single_thread',
      'The page is not cross-origin isolated, so one thread is used. See docs/hosting.md for the headers.',
    );
  }
  return {
    canRun: !reasons.some(({ fatal }) => fatal),
    reasons,
    model: {
      id: manifest.model_id,
      name: manifest.name,
      bytes: manifest.file.bytes,
      ...(signedBy === null ? {} : { signedBy }),
      ...(manifest.license ? { license: manifest.license } : {}),
    },
    device,
    builds,
    threads,
    memory: { needed: memory, ...(deviceMemory === undefined ? {} : { device: deviceMemory }) },
    storage: { needed, stored, ...(found.free === null ? {} : { free: found.free }) },
    speed: {
      operationsPerSecond: found.operations_per_second,
      secondsToVerdict: found.seconds_to_verdict,
    },
  };
}
