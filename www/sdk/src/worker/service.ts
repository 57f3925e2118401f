import type { Engine, Image } from '../../wasm/simd/llavaguard.js';
import { LlavaGuardError } from '../errors.js';
import type { ImageMessage, ModelMessage, Request } from '../messages.js';
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

/** Answers requests by the engine. */
export class Service {
  #module: Module | undefined;
  #engine: Engine | undefined;

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
        const image = await this.#image(request.image);
        const options = JSON.stringify(request.options);
        return JSON.parse(await this.#loaded.assess(image, options, job)) as unknown;
      }
      case 'open':
        return this.#loaded.open(await this.#image(request.image), request.detail, job);
      case 'judge': {
        const options = JSON.stringify(request.options);
        return JSON.parse(await this.#loaded.judge(request.session, options, job)) as unknown;
      }
      case 'close':
        this.#loaded.close(request.session);
        return undefined;
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

  async #start({ build, threads }: Extract<Request, { type: 'start' }>): Promise<void> {
    const { glue, wasm } = await buildFiles(build);
    const module = await compile(wasm);
    const { memory } = await glue.default({ module_or_path: module });
    if (glue.startPool) {
      await startThreads(threads - 1, module, memory);
      glue.startPool(threads);
    }
    this.#module = glue;
  }

  async #load(request: ModelMessage, job: Job): Promise<unknown> {
    const module = this.#started;
    const model = await openModel(module, request, job);
    try {
      this.#engine = await module.Engine.load(model.reader, job);
    } finally {
      model.close();
    }
    return { info: JSON.parse(this.#engine.info()) as unknown, source: model.source };
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
