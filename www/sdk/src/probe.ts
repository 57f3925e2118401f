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
  /** What it would run on. */
  device: 'cpu';
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
  /** Stable code: `memory.too_little`, `storage.too_little`, `memory.tight`, `speed.slow`, `build.single_thread`. */
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

const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6).toLocaleString('en')} MB`;

/** Weighs what was found out. */
export function judgeProbe(
  found: ProbeMessage,
  builds: BuildName[],
  threads: number,
  deviceMemory: number | undefined,
): Probe {
  const { manifest, signedBy, stored } = found;
  const memory = manifest.memory['cpu'] ?? manifest.file.bytes;
  const needed = Math.max(0, manifest.file.bytes - stored);
  const reasons: ProbeReason[] = [];
  const say = (fatal: boolean, code: string, message: string) =>
    reasons.push({ code, message, fatal });
  if (memory > ADDRESSABLE) {
    say(
      true,
      'memory.too_little',
      `The model needs ${megabytes(memory)} of memory and a page can have ${megabytes(ADDRESSABLE)}. Use a smaller format of it.`,
    );
  } else if (deviceMemory !== undefined && memory > deviceMemory / 2) {
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
    device: 'cpu',
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
