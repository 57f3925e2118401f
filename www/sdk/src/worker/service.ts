import type { Engine } from '../../wasm/simd/llavaguard.js';
import type { Assessment, Detail } from '../assessment.js';
import type { BuildName } from '../builds.js';
import { type ErrorMessage, LlavaGuardError, toErrorMessage } from '../errors.js';
import type { ImageMessage, ModelMessage, Request, StartRequest } from '../messages.js';
import type { ModelSource } from '../model-source.js';
import { buildFiles, compile, type Module } from './glue.js';
import { type HeldImage, holdImage, withImage } from './image.js';
import type { Job } from './job.js';
import { openModel, probeModel } from './model.js';
import { startThreads } from './pool.js';

function absent(what: string): LlavaGuardError {
  return new LlavaGuardError({
    code: 'engine.not_ready',
    message: `There is no ${what} yet; load one first.`,
  });
}

/** The image of a request that has one. */
async function present(image: Promise<HeldImage> | undefined): Promise<HeldImage> {
  if (!image) throw new TypeError('a request about an image came without one');
  return image;
}

/** Adds the browser's decoding, which the engine knows nothing of. */
function withDecoding(assessment: Assessment, milliseconds: number): Assessment {
  assessment.timings_ms.decode_image += milliseconds;
  assessment.timings_ms.total += milliseconds;
  return assessment;
}

/** An open session; what it was opened with is kept where its GPU may be lost. */
interface OpenSession {
  /** The engine's number; none where the engine was replaced since. */
  number: number | undefined;
  image: HeldImage | undefined;
  detail: Detail;
}

/** Errors of a GPU that is gone or full for now. */
const PASSING = ['device.lost', 'device.out_of_memory'];
/** Errors of a GPU that computes wrongly or cannot have the model, and would not the next time either. */
const LASTING = ['device.wrong_result', 'device.too_small'];

/** Whether an error has one of these codes. */
function is(codes: string[], error: unknown): boolean {
  return codes.includes(toErrorMessage(error, '').code);
}

/** Whether an error says that the GPU is gone, full, or of no use. */
function blamesGpu(error: unknown): boolean {
  return is([...PASSING, ...LASTING], error);
}

/** Answers requests by the engine. */
export class Service {
  #module: Module | undefined;
  #engine: Engine | undefined;
  /** Builds that take over where the GPU is lost for good; none where the engine is on the CPU. */
  #next: BuildName[] = [];
  #build: BuildName = 'simd';
  #threads = 1;
  #wasm: StartRequest['wasm'];
  /** Kept while it may have to be loaded again. */
  #model: ModelMessage | undefined;
  #source: ModelSource | undefined;
  readonly #sessions = new Map<number, OpenSession>();
  #nextSession = 1;

  /** Gets an image ready for the engine; may be called while the engine works on another. */
  hold(image: ImageMessage, job: Job): Promise<HeldImage> {
    return holdImage(image, this.#started.maxImageBytes(), job.signal);
  }

  /** Does what a request asks for, with its image where it has one; gives what it is answered with. */
  async answer(request: Request, job: Job, image?: Promise<HeldImage>): Promise<unknown> {
    switch (request.type) {
      case 'start':
        return this.#start(request);
      case 'load':
        return this.#load(request, job);
      case 'probe':
        return probeModel(this.#started, request, job);
      case 'assess': {
        const options = JSON.stringify(request.options);
        const held = await present(image);
        return this.#recovering(job, async () => {
          const json = await withImage(held, this.#started, (image) =>
            this.#loaded.assess(image, options, job),
          );
          return withDecoding(JSON.parse(json) as Assessment, held.decodedIn);
        });
      }
      case 'open': {
        const { detail } = request;
        const session = { number: undefined, image: await present(image), detail };
        return this.#recovering(job, () => this.#open(session, job));
      }
      case 'judge': {
        const options = JSON.stringify(request.options);
        return this.#recovering(job, () => this.#judge(request.session, options, job));
      }
      case 'close': {
        const number = this.#sessions.get(request.session)?.number;
        this.#sessions.delete(request.session);
        if (number !== undefined) this.#loaded.close(number);
        return undefined;
      }
      case 'describePolicy':
        return JSON.parse(this.#started.describePolicy(request.policy)) as unknown;
      case 'promptText':
        return this.#started.promptText(request.policy);
      case 'prompt': {
        const text = this.#started.promptText(request.policy);
        return { text, tokens: this.#loaded.promptTokens(request.policy) };
      }
    }
  }

  get #started(): Module {
    if (!this.#module) throw absent('engine');
    return this.#module;
  }

  get #loaded(): Engine {
    if (!this.#engine) throw absent('model');
    return this.#engine;
  }

  async #start({ build, threads, adapter, next = [], wasm }: StartRequest): Promise<void> {
    this.#threads = threads;
    this.#next = next;
    this.#wasm = wasm;
    await this.#instantiate(build);
    if (adapter) {
      const { name, software, slowByteDots } = adapter;
      this.#module?.useAdapter?.(name, software, slowByteDots);
    }
  }

  async #instantiate(build: BuildName): Promise<void> {
    const { glue, wasm } = await buildFiles(build);
    const module = await compile(this.#wasm ? new URL(this.#wasm[build]) : wasm);
    const { memory } = await glue.default({ module_or_path: module });
    if (glue.startPool) {
      await startThreads(this.#threads - 1, module, memory);
      glue.startPool(this.#threads);
    }
    this.#module = glue;
    this.#build = build;
  }

  async #load(request: ModelMessage, job: Job): Promise<unknown> {
    this.#model = request;
    return this.#recovering(job, async () => {
      if (!this.#engine) await this.#loadEngine(job);
      return { info: this.#info(), source: this.#source };
    });
  }

  async #loadEngine(job: Job): Promise<void> {
    if (!this.#model) throw absent('model');
    const module = this.#started;
    const model = await openModel(module, this.#model, job);
    try {
      this.#engine = await module.Engine.load(model.reader, job);
    } finally {
      model.close();
    }
    this.#source = model.source;
    if (this.#build !== 'webgpu') this.#model = undefined;
  }

  #info(): unknown {
    return JSON.parse(this.#loaded.info()) as unknown;
  }

  /**
   * Runs what may lose the GPU: once more on the GPU where it was lost, then on the CPU for good. The
   * page is told before either begins.
   */
  async #recovering<T>(job: Job, run: () => Promise<T>): Promise<T> {
    for (let retried = false; ; retried = true) {
      try {
        return await run();
      } catch (error) {
        if (this.#build !== 'webgpu' || !blamesGpu(error) || job.cancelled()) throw error;
        const failure = toErrorMessage(error, '');
        this.#forgetEngine();
        if (!retried && is(PASSING, error) && (await this.#tryAgain(failure, job))) continue;
        await this.#moveToCpu(failure, job);
      }
    }
  }

  /** Whether the model could be loaded into the GPU once more. */
  async #tryAgain({ code, message }: ErrorMessage, job: Job): Promise<boolean> {
    job.notify({ type: 'progress', stage: 'retry', code, reason: message });
    try {
      await this.#loadEngine(job);
      return true;
    } catch (error) {
      if (!blamesGpu(error)) throw error;
      return false;
    }
  }

  async #moveToCpu({ code, message }: ErrorMessage, job: Job): Promise<void> {
    const [build] = this.#next;
    if (build === undefined) {
      throw new LlavaGuardError({
        code: 'device.lost',
        message: `The GPU failed and this browser runs no build for the CPU: ${message}`,
      });
    }
    job.notify({ type: 'progress', stage: 'fallback', build: 'webgpu', code, reason: message });
    await this.#instantiate(build);
    await this.#loadEngine(job);
    const threads = build === 'relaxed' ? this.#threads : 1;
    job.notify({ type: 'build', build, threads, info: this.#info() });
  }

  /** Sessions stay open: their images are opened again when they are asked for. */
  #forgetEngine(): void {
    this.#engine?.free();
    this.#engine = undefined;
    for (const session of this.#sessions.values()) session.number = undefined;
  }

  async #open(session: OpenSession, job: Job): Promise<number> {
    await this.#reopen(session, job);
    if (this.#build !== 'webgpu') session.image = undefined;
    const number = this.#nextSession++;
    this.#sessions.set(number, session);
    return number;
  }

  /** The engine's number of a session, opened again where the engine was replaced. */
  async #reopen(session: OpenSession, job: Job): Promise<number> {
    if (session.number === undefined && session.image) {
      session.number = await withImage(session.image, this.#started, (image) =>
        this.#loaded.open(image, session.detail, job),
      );
    }
    return session.number ?? 0;
  }

  async #judge(session: number, options: string, job: Job): Promise<unknown> {
    const open = this.#sessions.get(session);
    // The engine refuses what is no session, in its own words.
    const number = open ? await this.#reopen(open, job) : 0;
    return JSON.parse(await this.#loaded.judge(number, options, job)) as unknown;
  }
}
