import type { Engine, Image } from '../../wasm/simd/llavaguard.js';
import type { Detail } from '../assessment.js';
import type { BuildName } from '../builds.js';
import { LlavaGuardError, toErrorMessage } from '../errors.js';
import type { ImageMessage, ModelMessage, Request } from '../messages.js';
import type { ModelSource } from '../model-source.js';
import { buildFiles, compile, type Module } from './glue.js';
import type { Job } from './job.js';
import { openModel, probeModel } from './model.js';
import { startThreads } from './pool.js';

function absent(what: string): LlavaGuardError {
  return new LlavaGuardError({
    code: 'engine.not_ready',
    message: `There is no ${what} yet; load one first.`,
  });
}

/** An open session; what it was opened with is kept where its GPU may be lost. */
interface OpenSession {
  /** The engine's number; none where the engine was replaced since. */
  number: number | undefined;
  image: ImageMessage | undefined;
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
  /** Kept while it may have to be loaded again. */
  #model: ModelMessage | undefined;
  #source: ModelSource | undefined;
  readonly #sessions = new Map<number, OpenSession>();
  #nextSession = 1;

  /** Does what a request asks for; gives what it is answered with. */
  async answer(request: Request, job: Job): Promise<unknown> {
    switch (request.type) {
      case 'start':
        return this.#start(request);
      case 'load':
        return this.#load(request, job);
      case 'probe':
        return probeModel(this.#started, request, job);
      case 'assess': {
        const options = JSON.stringify(request.options);
        return this.#recovering(job, async () => {
          const image = await this.#image(request.image);
          return JSON.parse(await this.#loaded.assess(image, options, job)) as unknown;
        });
      }
      case 'open': {
        const session = { number: undefined, image: request.image, detail: request.detail };
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

  async #start({
    build,
    threads,
    adapter,
    next = [],
  }: Extract<Request, { type: 'start' }>): Promise<void> {
    this.#threads = threads;
    this.#next = next;
    await this.#instantiate(build);
    if (adapter) this.#module?.useAdapter?.(adapter.name, adapter.slowByteDots);
  }

  async #instantiate(build: BuildName): Promise<void> {
    const { glue, wasm } = await buildFiles(build);
    const module = await compile(wasm);
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
        const reason = toErrorMessage(error, '').message;
        this.#forgetEngine();
        if (!retried && is(PASSING, error) && (await this.#tryAgain(reason, job))) continue;
        await this.#moveToCpu(reason, job);
      }
    }
  }

  /** Whether the model could be loaded into the GPU once more. */
  async #tryAgain(reason: string, job: Job): Promise<boolean> {
    job.notify({ type: 'progress', stage: 'retry', reason });
    try {
      await this.#loadEngine(job);
      return true;
    } catch (error) {
      if (!blamesGpu(error)) throw error;
      return false;
    }
  }

  async #moveToCpu(reason: string, job: Job): Promise<void> {
    const [build] = this.#next;
    if (build === undefined) {
      throw new LlavaGuardError({
        code: 'device.lost',
        message: `The GPU failed and this browser runs no build for the CPU: ${reason}`,
      });
    }
    job.notify({ type: 'progress', stage: 'fallback', build: 'webgpu', reason });
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
      const image = await this.#image(session.image);
      session.number = await this.#loaded.open(image, session.detail, job);
    }
    return session.number ?? 0;
  }

  async #judge(session: number, options: string, job: Job): Promise<unknown> {
    const open = this.#sessions.get(session);
    // The engine refuses what is no session, in its own words.
    const number = open ? await this.#reopen(open, job) : 0;
    return JSON.parse(await this.#loaded.judge(number, options, job)) as unknown;
  }

  async #image(image: ImageMessage): Promise<Image> {
    const { Image: Images, maxImageBytes } = this.#started;
    switch (image.kind) {
      case 'rgba': {
        const { buffer, byteOffset, byteLength } = image.pixels;
        return Images.rgba(
          image.width,
          image.height,
          new Uint8Array(buffer, byteOffset, byteLength),
        );
      }
      case 'bytes':
        return Images.encoded(image.bytes);
      case 'file': {
        // A file too large for the engine is not even read: it might not fit the tab.
        const limit = maxImageBytes();
        const file = image.file.size > limit ? image.file.slice(0, limit + 1) : image.file;
        const bytes = await file.arrayBuffer().catch((error: unknown) => {
          throw new LlavaGuardError({
            code: 'image.unreadable',
            message: `The file could not be read (${String(error)}). It may have been moved or changed: choose it again.`,
          });
        });
        return Images.encoded(new Uint8Array(bytes));
      }
    }
  }
}
