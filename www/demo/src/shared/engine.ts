import { computed, signal } from '@preact/signals';
import {
  type BuildName,
  LlavaGuard,
  LlavaGuardError,
  type ModelInfo,
  type ModelSource,
  type Progress,
} from 'llavaguard';

import { strings } from '../strings/index.js';

const BUILDS: BuildName[] = ['webgpu', 'relaxed', 'relaxed-single', 'simd'];

/** A model to load: the address of a manifest or of a GGUF file, or such a file. */
export interface ModelChoice {
  model: URL | File;
  /** For people, in "Loading …". */
  name: string;
}

/** What runs. */
export interface Running {
  build: BuildName;
  threads: number;
  info: ModelInfo;
}

/** A build that was left for another one. */
export type Fallback = Extract<Progress, { stage: 'fallback' }>;

/** What makes the package begin anew: a GPU that is tried once more, or a build that is left. */
export type Setback = Fallback | Extract<Progress, { stage: 'retry' }>;

/** How far a load is. */
export interface Loading {
  name: string;
  /** None until the first word of the package. */
  progress?: Exclude<Progress, Setback>;
  /** The last one on the way, where there was one. */
  setback?: Setback;
}

/** Whether a step of the package is a setback. */
export function isSetback(progress: Progress): progress is Setback {
  return progress.stage === 'fallback' || progress.stage === 'retry';
}

/** The build that the page's address asks for, as in `?build=simd`. */
function buildOfAddress(): BuildName | undefined {
  const wanted = new URLSearchParams(location.search).get('build');
  return BUILDS.find((build) => build === wanted);
}

/**
 * The one engine of the page: which model is loaded and on what it runs. All views share it; whoever
 * uses it does so through {@link EngineStore.use}.
 */
class EngineStore {
  readonly #guard = signal<LlavaGuard | undefined>(undefined);
  readonly #running = signal<Running | undefined>(undefined);
  readonly #loading = signal<Loading | undefined>(undefined);
  readonly #error = signal<unknown>(undefined);
  readonly #fallbacks = signal<Fallback[]>([]);
  readonly #lost = signal(false);
  readonly #dismissed = signal(false);
  readonly #choice = signal<ModelChoice | undefined>(undefined);
  readonly #jobs = signal(0);
  readonly #loads = signal(0);
  #abort: AbortController | undefined;

  /** The build to load models into; by default the package's own choice. */
  readonly build = signal(buildOfAddress());

  /** The loaded model, ready for use; none while there is none, or where it was lost. */
  readonly guard = computed(() => (this.#lost.value ? undefined : this.#guard.value));
  /** What runs, where something does. */
  readonly running = computed(() => (this.guard.value ? this.#running.value : undefined));
  /** The load under way. */
  readonly loading = computed(() => this.#loading.value);
  /** Why the last load failed, or what ended the engine. */
  readonly error = computed(() => this.#error.value);
  /** Whether the user has seen {@link error} and needs no reminder of it. */
  readonly dismissed = computed(() => this.#dismissed.value);
  /** Builds that did not start, or were lost, since the model was loaded. */
  readonly fallbacks = computed(() => this.#fallbacks.value);
  /** Where the bytes of the loaded model came from. */
  readonly source = computed<ModelSource | undefined>(() => this.guard.value?.source);
  /** The model that was loaded last. */
  readonly choice = computed(() => this.#choice.value);
  /** How many pieces of work are under way. */
  readonly jobs = computed(() => this.#jobs.value);
  /** How many loads have ended, well or not: what is stored may have changed with each. */
  readonly loads = computed(() => this.#loads.value);
  /**
   * `loading` while a load is under way; then `ready`, be it with an earlier model where the last load
   * failed; `failed` where there is none, or `lost` where the engine crashed and has to be loaded again.
   */
  readonly state = computed(() => {
    if (this.#loading.value) return 'loading';
    if (this.#lost.value) return 'lost';
    return this.#guard.value ? 'ready' : 'failed';
  });

  /**
   * Loads a model; a load under way is given up, the model in use stays until the new one is there.
   * Gives whether it was loaded; why not is in {@link error}.
   */
  async load(choice: ModelChoice): Promise<boolean> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.#loading.value = { name: choice.name };
    this.#error.value = undefined;
    this.#dismissed.value = false;
    const fallbacks: Fallback[] = [];
    const build = this.build.value;
    try {
      const guard = await LlavaGuard.load({
        model: choice.model,
        ...(build === undefined ? {} : { build }),
        signal: abort.signal,
        onProgress: (progress) => {
          if (abort.signal.aborted) return;
          if (progress.stage === 'fallback') fallbacks.push(progress);
          this.#loading.value = isSetback(progress)
            ? { ...this.#loading.value, name: choice.name, setback: progress }
            : { ...this.#loading.value, name: choice.name, progress };
        },
      });
      this.#guard.value?.dispose();
      this.#guard.value = guard;
      this.#choice.value = choice;
      this.#fallbacks.value = fallbacks;
      this.#lost.value = false;
      this.#running.value = undefined;
      this.#note(guard);
      return true;
    } catch (error) {
      if (!abort.signal.aborted) this.#error.value = error;
      return false;
    } finally {
      if (this.#abort === abort) this.#loading.value = undefined;
      this.#loads.value++;
    }
  }

  /** Gives up the load under way. What was fetched of the model stays and is used next time. */
  stopLoading(): void {
    this.#abort?.abort();
    this.#loading.value = undefined;
  }

  /** Notes that the user has seen {@link error}. */
  dismiss(): void {
    this.#dismissed.value = true;
  }

  /** Loads the last model again: after a crash, or into another build. */
  async reload(): Promise<boolean> {
    const choice = this.#choice.value;
    return choice ? this.load(choice) : false;
  }

  /** Loads the model in use into another build; `undefined` leaves the choice to the package. */
  async switchTo(build: BuildName | undefined): Promise<boolean> {
    const before = this.build.value;
    this.build.value = build;
    const loaded = await this.reload();
    if (!loaded) this.build.value = before;
    return loaded;
  }

  /**
   * Lets `work` use the loaded model. The engine does one thing at a time; more waits its turn. Notes
   * what runs afterwards, and where the engine was lost; whoever judges gives {@link hear} as
   * `onProgress`, or calls it.
   *
   * @throws LlavaGuardError `page.no_model` where none is loaded; else as `work` does
   */
  async use<T>(work: (guard: LlavaGuard) => Promise<T>): Promise<T> {
    const guard = this.guard.value;
    if (!guard) {
      throw new LlavaGuardError({
        code: 'page.no_model',
        message: strings.value.errors.noModel,
      });
    }
    this.#jobs.value++;
    try {
      return await work(guard);
    } catch (error) {
      if (error instanceof LlavaGuardError && error.code === 'engine.crashed')
        this.#lose(guard, error);
      throw error;
    } finally {
      this.#jobs.value--;
      if (this.guard.value === guard) this.#note(guard);
    }
  }

  /** Notes a build that was left in the middle of a call. */
  readonly hear = (progress: Progress): void => {
    if (progress.stage === 'fallback') {
      this.#fallbacks.value = [...this.#fallbacks.value, progress];
    }
  };

  #lose(guard: LlavaGuard, error: LlavaGuardError): void {
    if (this.#guard.value !== guard) return;
    this.#lost.value = true;
    this.#error.value = error;
    this.#dismissed.value = false;
  }

  /** Notes what runs now: a lost GPU may have handed over to the CPU. */
  #note(guard: LlavaGuard): void {
    const { build, threads, info } = guard;
    const before = this.#running.peek();
    if (before?.build === build && before.threads === threads && before.info === info) return;
    this.#running.value = { build, threads, info };
  }
}

export const engine = new EngineStore();
