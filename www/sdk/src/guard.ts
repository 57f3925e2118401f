import type { Assessment, Detail, Verdict } from './assessment.js';
import { type Adapter, type BuildName, cpuBuilds, gpuAdapter } from './builds.js';
import { Connection } from './connection.js';
import { LlavaGuardError, toErrorMessage } from './errors.js';
import { eventsOf, type GuardEvent } from './events.js';
import { type ImageInput, notSent, outgoingImage } from './image.js';
import { assessEach, DEFAULT_CONCURRENCY, type ManyImages, type ManyResult } from './many.js';
import type {
  ImageMessage,
  JudgeMessage,
  ModelMessage,
  Notice,
  Priority,
  Request,
} from './messages.js';
import type { ModelSource } from './model-source.js';
import {
  type PolicyDescription,
  type PolicyInput,
  type PolicyPrompt,
  policyText,
} from './policy.js';
import { type GpuRefusal, judgeProbe, type Probe, type ProbeMessage } from './probe.js';
import type { Progress } from './progress.js';

/** Where a model with a manifest lies, for bundlers that give every file an address of its own. */
export interface ModelFiles {
  /** The address of the manifest. */
  manifest: string | URL;
  /** The addresses of the files it names, in its order. */
  files: (string | URL)[];
}

/** How a model is loaded. */
export interface LoadOptions {
  /**
   * The model: the address of its manifest (which ends in `.json`; its bytes are then verified), the
   * address of a GGUF file, or such a file the user has chosen. What is fetched is kept in this
   * browser's storage and goes on where it was interrupted.
   */
  model: string | URL | ModelFiles | Blob;
  /**
   * Public keys (64 hexadecimal digits each), one of which must have signed the manifest. Then models
   * without one are refused.
   */
  trustedKeys?: string[];
  /** Whether a fetched model is kept in this browser's storage; `true` by default. */
  keep?: boolean;
  /** Told how far it is, and when a build did not start. */
  onProgress?: (progress: Progress) => void;
  /** Stops loading. */
  signal?: AbortSignal;
  /**
   * The WebAssembly build to use; by default the best that runs here. A GPU that is software on the
   * CPU is used only where `webgpu` is asked for.
   */
  build?: BuildName;
  /** Threads of the `relaxed` build (also where it takes over from `webgpu`), 1 to 64; by default one for each processor core, 16 at most. */
  threads?: number;
  /**
   * Another way to start the package's worker script (`llavaguard/worker.js`), for pages that host it
   * elsewhere and for bundlers that do not know `new Worker(new URL(…, import.meta.url))`.
   */
  createWorker?: () => Worker;
  /**
   * Where the WebAssembly files lie, if not where the bundler put them: a folder that holds the
   * package's `wasm/` as it is (`<folder>/relaxed/llavaguard_bg.wasm`), or a function that gives each
   * file's address. They must be of this very version of the package.
   */
  wasmUrl?: string | URL | ((build: BuildName) => string | URL);
}

/** How a machine is probed. */
export type ProbeOptions = Pick<
  LoadOptions,
  'trustedKeys' | 'signal' | 'build' | 'threads' | 'createWorker' | 'wasmUrl'
>;

/** How the rationale is written. */
export interface RationaleOptions {
  /** Its length in tokens at most, 1 to 2,048; 500 by default. */
  maxTokens?: number;
  /** Nucleus sampling instead of the likeliest token each time. */
  sampling?: {
    /** Above 0. LlavaGuard's evaluation uses 0.2. */
    temperature: number;
    /** Above 0 and at most 1. LlavaGuard's evaluation uses 0.95. */
    topP: number;
    /** The same seed gives the same text. 0 by default. */
    seed?: number;
  };
}

/** How an image is judged. */
export interface JudgeOptions {
  /** The policy; LlavaGuard's own by default. */
  policy?: PolicyInput;
  /** Whether and how a rationale is written; `true` by default. */
  rationale?: boolean | RationaleOptions;
  /** Told as soon as rating and category stand. */
  onVerdict?: (verdict: Verdict) => void;
  /** Told each further piece of the rationale. */
  onToken?: (text: string) => void;
  /** Told how far it is. */
  onProgress?: (progress: Progress) => void;
  /** Stops it within one layer's work; the call rejects at once. */
  signal?: AbortSignal;
}

/** How an image is opened. */
export interface OpenOptions {
  /** How closely it is looked at; `auto` by default. */
  detail?: Detail;
  /** Told how far it is. */
  onProgress?: (progress: Progress) => void;
  /** Stops it within one layer's work; the call rejects at once. */
  signal?: AbortSignal;
}

/** How an image is assessed. */
export interface AssessOptions extends JudgeOptions, OpenOptions {
  /**
   * How soon it gets its turn where others wait: `user-visible` by default, in `assessMany`
   * `background`. What has begun is not interrupted.
   */
  priority?: Priority;
}

/** How many images are assessed. */
export interface AssessManyOptions extends Pick<
  AssessOptions,
  'policy' | 'rationale' | 'detail' | 'priority' | 'signal'
> {
  /**
   * How many are on their way at once, 2 by default. The engine judges one at a time, so more pay only
   * where fetching them takes longer than judging.
   */
  concurrency?: number;
  /** Told of each event of each image. */
  onEvent?: (event: GuardEvent, index: number) => void;
}

/** What is known about a loaded model. */
export interface ModelInfo {
  /** Its name and the beginning of its weights' SHA-256. */
  model_id: string;
  /** Its name. */
  name: string;
  /** What it runs on. */
  device: string;
  /** Side of a tile in pixels. */
  tile: number;
  /** Visual tokens of one tile. */
  tokens_per_tile: number;
  /** Positions a prompt and its answer can take. */
  context: number;
}

function judgeMessage(options: JudgeOptions): JudgeMessage {
  const message: JudgeMessage = {};
  if (options.policy !== undefined) message.policy = policyText(options.policy);
  const rationale = options.rationale ?? true;
  if (rationale !== false) {
    const { maxTokens, sampling } = rationale === true ? {} : rationale;
    message.rationale = {
      ...(maxTokens === undefined ? {} : { maxTokens }),
      ...(sampling === undefined ? {} : { sampling: { seed: 0, ...sampling } }),
    };
  }
  return message;
}

function judgeNotices(options: JudgeOptions): (notice: Notice) => void {
  return (notice) => {
    if (notice.type === 'verdict') {
      const { rating, category, unsafe_probability } = notice;
      options.onVerdict?.({ rating, category, unsafe_probability });
    } else if (notice.type === 'rationale') {
      options.onToken?.(notice.text);
    } else if (notice.type === 'progress') {
      options.onProgress?.(withoutType(notice));
    }
  };
}

function progressNotices(
  onProgress: ((progress: Progress) => void) | undefined,
): (notice: Notice) => void {
  return (notice) => {
    if (notice.type === 'progress') onProgress?.(withoutType(notice));
  };
}

function withoutType({ type: _, ...progress }: Extract<Notice, { type: 'progress' }>): Progress {
  return progress;
}

/** What runs in a guard's worker; another build may take over. */
interface Running {
  build: BuildName;
  threads: number;
  info: ModelInfo;
}

/** Passes notices on, and notes where another build has taken over. */
function noting(running: Running, pass: (notice: Notice) => void): (notice: Notice) => void {
  return (notice) => {
    if (notice.type === 'build') {
      const { build, threads, info } = notice;
      Object.assign(running, { build, threads, info });
    } else {
      pass(notice);
    }
  };
}

/** A loaded model in a worker of its own. */
export class LlavaGuard {
  /** Where its bytes came from, and whether they were verified. */
  readonly source: ModelSource;
  readonly #connection: Connection;
  readonly #running: Running;

  private constructor(connection: Connection, running: Running, source: ModelSource) {
    this.#connection = connection;
    this.#running = running;
    this.source = source;
  }

  /** What is known about the model. */
  get info(): ModelInfo {
    return this.#running.info;
  }

  /** The WebAssembly build that runs. Where `webgpu` loses its GPU for good another takes over. */
  get build(): BuildName {
    return this.#running.build;
  }

  /** How many threads it uses. */
  get threads(): number {
    return this.#running.threads;
  }

  /**
   * Loads a model.
   *
   * @throws LlavaGuardError with `model.…` where the file or the network is at fault, `manifest.…` where
   * its manifest is, `store.…` where the storage is, `build.…` where no build runs, `engine.bad_option`
   * where an option is.
   */
  static async load(options: LoadOptions): Promise<LlavaGuard> {
    const { signal, onProgress, trustedKeys, keep = true } = options;
    const started = await start(options);
    try {
      const model = modelMessage(options.model);
      if (keep && !(model instanceof Blob)) askToPersist();
      const request = {
        type: 'load',
        model,
        keep,
        ...(trustedKeys ? { trustedKeys } : {}),
      } as const;
      const { connection, build, threads } = started;
      const running: Partial<Running> & Omit<Running, 'info'> = { build, threads };
      const onNotice = noting(running as Running, progressNotices(onProgress));
      const { info, source } = await connection.request<Loaded>(request, { signal, onNotice });
      running.info = info;
      return new LlavaGuard(connection, running as Running, source);
    } catch (error) {
      started.connection.close(disposed());
      throw error;
    }
  }

  /**
   * Says whether a model will run here, before any of it is fetched: what it needs, what there is, and
   * how long a verdict would take, by a measurement of about a second.
   *
   * @param manifest the address of the model's manifest
   * @throws LlavaGuardError as `load` does; that a model does not fit is none.
   */
  static async probe(manifest: string | URL, options: ProbeOptions = {}): Promise<Probe> {
    const { signal, trustedKeys } = options;
    const request = {
      type: 'probe',
      model: { url: address(manifest) },
      keep: true,
      ...(trustedKeys ? { trustedKeys } : {}),
    } as const;
    const gigabytes = (navigator as { deviceMemory?: number }).deviceMemory;
    const memory = gigabytes === undefined ? undefined : gigabytes * 2 ** 30;
    let gpuRefused: string | undefined;
    for (let build = options.build; ;) {
      const started = await start({ ...options, ...(build ? { build } : {}) });
      const { connection, threads } = started;
      try {
        const found = await connection.request<ProbeMessage | GpuRefusal>(request, { signal });
        if (!('gpuRefused' in found)) {
          const builds = [started.build, ...started.next];
          return judgeProbe(found, builds, threads, memory, gpuRefused);
        }
        gpuRefused = found.gpuRefused;
        // What would take over is measured in its place.
        [build] = cpuBuilds();
        if (build === undefined) throw unsupported();
      } finally {
        connection.close(disposed());
      }
    }
  }

  /**
   * Judges an image under a policy.
   *
   * @throws LlavaGuardError with `image.…`, `policy.…` or `engine.…`; the signal's reason when aborted.
   */
  async assess(image: ImageInput, options: AssessOptions = {}): Promise<Assessment> {
    const message = { ...judgeMessage(options), detail: options.detail ?? 'auto' };
    const request = (image: ImageMessage) => ({ type: 'assess', image, options: message }) as const;
    return this.#send<Assessment>(image, request, options, judgeNotices(options));
  }

  /**
   * Judges an image and tells what happens on the way, as an async iterator: `progress`, `verdict`,
   * `token`, `done`. Leaving the loop stops the work.
   *
   * @throws As `assess` does, from the loop.
   */
  stream(
    image: ImageInput,
    options: Omit<AssessOptions, 'onProgress' | 'onVerdict' | 'onToken'> = {},
  ): AsyncGenerator<GuardEvent, void, undefined> {
    return eventsOf(
      (listeners) => this.assess(image, { ...options, ...listeners }),
      options.signal,
    );
  }

  /**
   * Judges many images and gives each one's result as soon as it is ready; an image that cannot be judged
   * gives a result with its `error` and does not stop the rest. Images are taken from the input only as
   * results are read, so an input may be as long as it likes, and may be a generator that opens files.
   * Leaving the loop stops the work.
   *
   * Other calls need not wait for the whole: they overtake what waits here, unless their `priority` is
   * lower.
   *
   * @throws The signal's reason when aborted, and what the input throws.
   */
  assessMany<T extends ImageInput>(
    images: ManyImages<T>,
    options: AssessManyOptions = {},
  ): AsyncGenerator<ManyResult<T>, void, undefined> {
    const { concurrency = DEFAULT_CONCURRENCY, onEvent, signal, ...rest } = options;
    const assess = async (image: T, index: number, signal: AbortSignal) => {
      const one = { priority: 'background', ...rest, signal } as const;
      if (!onEvent) return this.assess(image, one);
      let last: GuardEvent | undefined;
      for await (last of this.stream(image, one)) onEvent(last, index);
      if (last?.type !== 'done') throw new Error('a stream ended without its result');
      return last.assessment;
    };
    return assessEach(images, assess, concurrency, signal);
  }

  /** Sends an image with a request about it. */
  async #send<T>(
    image: ImageInput,
    request: (image: ImageMessage) => Request,
    { signal, priority }: Pick<AssessOptions, 'signal' | 'priority'>,
    notices: (notice: Notice) => void,
  ): Promise<T> {
    signal?.throwIfAborted();
    // Sent at once where it can be, so that calls keep their order.
    const preparing = outgoingImage(image, baseUrl(), signal);
    const { message, transfer } = preparing instanceof Promise ? await preparing : preparing;
    const onNotice = noting(this.#running, notices);
    try {
      const following = { signal, onNotice, priority, transfer };
      return await this.#connection.request<T>(request(message), following);
    } catch (error) {
      throw signal?.aborted === true ? error : notSent(error, message);
    } finally {
      // Where it was not sent it is still here.
      if (message.kind === 'bitmap') message.bitmap.close();
    }
  }

  /** Opens an image for any number of policies: each costs the policy's own tokens alone. */
  async session(image: ImageInput, options: OpenOptions = {}): Promise<GuardSession> {
    const request = (image: ImageMessage) =>
      ({ type: 'open', image, detail: options.detail ?? 'auto' }) as const;
    const notices = progressNotices(options.onProgress);
    const session = await this.#send<number>(image, request, options, notices);
    return new GuardSession(this.#connection, session, this.#running);
  }

  /**
   * Checks a policy and says what it amounts to.
   *
   * @throws LlavaGuardError with `policy.…` and the `place` of the fault.
   */
  async validatePolicy(policy: PolicyInput): Promise<PolicyDescription> {
    const request = { type: 'describePolicy', policy: policyText(policy) } as const;
    return this.#connection.request<PolicyDescription>(request);
  }

  /** The exact text the model reads for a policy. */
  async promptText(policy: PolicyInput = {}): Promise<string> {
    return this.#connection.request<string>({ type: 'promptText', policy: policyText(policy) });
  }

  /** The exact text the model reads for a policy, and how many of the model's tokens that is. */
  async prompt(policy: PolicyInput = {}): Promise<PolicyPrompt> {
    return this.#connection.request<PolicyPrompt>({ type: 'prompt', policy: policyText(policy) });
  }

  /** Ends the worker and frees its memory; open calls reject with `guard.disposed`. */
  dispose(): void {
    this.#connection.close(disposed());
  }
}

/** An image held ready for any number of policies. */
export class GuardSession {
  readonly #connection: Connection;
  readonly #session: number;
  readonly #running: Running;

  /** @internal */
  constructor(connection: Connection, session: number, running: Running) {
    this.#connection = connection;
    this.#session = session;
    this.#running = running;
  }

  /** Judges the image under a policy, with the same result as a fresh `assess`. */
  async judge(options: JudgeOptions = {}): Promise<Assessment> {
    return this.#connection.request<Assessment>(
      { type: 'judge', session: this.#session, options: judgeMessage(options) },
      { signal: options.signal, onNotice: noting(this.#running, judgeNotices(options)) },
    );
  }

  /** Judges the image as {@link judge} does and tells what happens on the way, as {@link LlavaGuard.stream} does. */
  stream(
    options: Omit<JudgeOptions, 'onProgress' | 'onVerdict' | 'onToken'> = {},
  ): AsyncGenerator<GuardEvent, void, undefined> {
    return eventsOf((listeners) => this.judge({ ...options, ...listeners }), options.signal);
  }

  /** Frees what the session holds. */
  async close(): Promise<void> {
    // Behind judgements that still wait, whatever their priority.
    const priority = 'background';
    await this.#connection.request({ type: 'close', session: this.#session }, { priority });
  }
}

function disposed(): LlavaGuardError {
  return new LlavaGuardError({
    code: 'guard.disposed',
    message: 'This LlavaGuard was disposed of. Load the model again to go on.',
  });
}

/** What the worker tells of a loaded model. */
interface Loaded {
  info: ModelInfo;
  source: ModelSource;
}

/** A worker with an engine in it. */
interface Started {
  connection: Connection;
  build: BuildName;
  /** Builds that may take over from it. */
  next: BuildName[];
  threads: number;
}

function modelMessage(model: LoadOptions['model']): ModelMessage['model'] {
  if (model instanceof Blob) return model;
  if (typeof model === 'string' || model instanceof URL) return { url: address(model) };
  return { url: address(model.manifest), files: model.files.map(address) };
}

function address(url: string | URL): string {
  return new URL(url, baseUrl()).href;
}

/** Asks the browser not to evict what is stored. Whatever it answers, loading goes on. */
function askToPersist(): void {
  // Pages that are not served over HTTPS have no such thing.
  const { navigator } = globalThis as { navigator?: { storage?: Partial<StorageManager> } };
  const asked = navigator?.storage?.persist?.();
  asked?.catch(() => undefined);
}

function baseUrl(): string {
  return typeof document === 'undefined' ? location.href : document.baseURI;
}

function defaultWorker(): Worker {
  return new Worker(new URL('./worker/main.js', import.meta.url), {
    type: 'module',
    name: 'llavaguard',
  });
}

/** The addresses of all builds' files; any of them may be the one that takes over. */
function wasmAddresses(wasmUrl: LoadOptions['wasmUrl']): { wasm?: Record<BuildName, string> } {
  if (wasmUrl === undefined) return {};
  const of = (build: BuildName) =>
    typeof wasmUrl === 'function'
      ? address(wasmUrl(build))
      : new URL(`${build}/llavaguard_bg.wasm`, address(wasmUrl).replace(/\/?$/, '/')).href;
  return {
    wasm: {
      webgpu: of('webgpu'),
      relaxed: of('relaxed'),
      'relaxed-single': of('relaxed-single'),
      simd: of('simd'),
    },
  };
}

/** Builds that never have more than one thread. */
const SINGLE: readonly BuildName[] = ['relaxed-single', 'simd'];

/** More threads than this help nobody, and each takes a worker and a stack. */
const MAX_THREADS = 64;

function checkThreads(threads: number): void {
  if (Number.isInteger(threads) && threads >= 1 && threads <= MAX_THREADS) return;
  throw new LlavaGuardError({
    code: 'engine.bad_option',
    message: `The option threads is ${String(threads)}. Give a whole number from 1 to ${MAX_THREADS}, or leave it out.`,
  });
}

/** One thread for each core; more than 16 find little to do. */
function defaultThreads(): number {
  return Math.min(navigator.hardwareConcurrency || 1, 16);
}

/** What the `webgpu` build needs to know. */
function gpuPart(
  adapter: Adapter | undefined,
  next: BuildName[],
): { adapter: Adapter; next: BuildName[] } {
  if (adapter) return { adapter, next };
  throw new LlavaGuardError({
    code: 'build.no_gpu',
    message:
      'This browser offers no WebGPU adapter here. Use another build, or a browser and a page (https or localhost) that have one.',
  });
}

/** Starts the first build that runs. */
async function start(options: Omit<LoadOptions, 'model'>): Promise<Started> {
  const { signal, onProgress, createWorker = defaultWorker } = options;
  if (options.threads !== undefined) checkThreads(options.threads);
  const adapter =
    options.build === undefined || options.build === 'webgpu' ? await gpuAdapter() : undefined;
  const onCpu = cpuBuilds();
  const best: BuildName[] = adapter && !adapter.software ? ['webgpu', ...onCpu] : onCpu;
  const builds = options.build === undefined ? best : [options.build];
  const reasons: string[] = [];
  for (const build of builds) {
    signal?.throwIfAborted();
    // `webgpu` passes them on to the build that may take over.
    const threads = SINGLE.includes(build) ? 1 : (options.threads ?? defaultThreads());
    const connection = new Connection(createWorker());
    try {
      await connection.request(
        {
          type: 'start',
          build,
          threads,
          ...(build === 'webgpu' ? gpuPart(adapter, onCpu) : {}),
          ...wasmAddresses(options.wasmUrl),
        },
        { signal },
      );
      const next = builds.slice(builds.indexOf(build) + 1);
      return { connection, build, next, threads: build === 'webgpu' ? 1 : threads };
    } catch (error) {
      connection.close(disposed());
      if (signal?.aborted) throw error;
      const { code, message } = toErrorMessage(error, 'build.failed');
      reasons.push(`${build}: ${message}`);
      onProgress?.({ stage: 'fallback', build, code, reason: message });
    }
  }
  if (reasons.length === 0) throw unsupported();
  throw new LlavaGuardError({
    code: 'build.failed',
    message: `The engine did not start (${reasons.join('; ')}). Reload the page; if that does not help, use a current browser.`,
  });
}

function unsupported() {
  return new LlavaGuardError({
    code: 'build.unsupported',
    message: 'This browser lacks WebAssembly SIMD, which the engine needs. Use a current browser.',
  });
}
