import { type BuildName, LlavaGuard, type Progress } from 'llavaguard';

import { element, showText } from './dom.js';
import { errorCode, errorText } from './error-text.js';

const BUILDS: BuildName[] = ['webgpu', 'relaxed', 'simd'];

/** The build that the page's address asks for, as in `?build=simd`. */
function wantedBuild(): BuildName | undefined {
  const wanted = new URLSearchParams(location.search).get('build');
  return BUILDS.find((build) => build === wanted);
}

/** The card that loads the model and says what runs. */
export class ModelPanel {
  readonly #status = element('model-status', HTMLParagraphElement);
  readonly #progress = element('model-progress', HTMLProgressElement);
  readonly #error = element('model-error', HTMLParagraphElement);
  readonly #onGuard: (guard: LlavaGuard) => void;
  readonly #onFailed: () => void;
  #loading: AbortController | undefined;
  #loaded: string | undefined;
  #guard: LlavaGuard | undefined;
  #notes: string[] = [];

  constructor(onGuard: (guard: LlavaGuard) => void, onFailed: () => void) {
    this.#onGuard = onGuard;
    this.#onFailed = onFailed;
    const input = element('model-input', HTMLInputElement);
    input.addEventListener('change', () => {
      const file = input.files?.[0];
      input.value = '';
      if (file) void this.load(file, file.name);
    });
  }

  /** Loads a model; a load that is under way is given up. */
  async load(model: URL | File, name: string): Promise<void> {
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    this.#status.dataset['state'] = 'loading';
    this.#status.textContent = `Loading ${name}…`;
    this.#progress.hidden = false;
    this.#progress.removeAttribute('value');
    showText(this.#error, undefined);
    const notes: string[] = [];
    const build = wantedBuild();
    try {
      const guard = await LlavaGuard.load({
        model,
        ...(build === undefined ? {} : { build }),
        signal: loading.signal,
        onProgress: (progress) => {
          this.#show(progress, notes);
        },
      });
      this.#guard = guard;
      this.#notes = notes;
      this.#tell(guard);
      this.#status.dataset['state'] = 'ready';
      this.#onGuard(guard);
    } catch (error) {
      if (loading.signal.aborted) return;
      this.#status.textContent = [`${name} was not loaded.`, this.#loaded].join(' ').trim();
      this.#status.dataset['state'] = 'failed';
      this.#error.dataset['code'] = errorCode(error);
      showText(this.#error, errorText(error));
      this.#onFailed();
    } finally {
      if (this.#loading === loading) this.#progress.hidden = true;
    }
  }

  /** Says what runs now: a lost GPU may have handed over to the CPU. */
  refresh(): void {
    const guard = this.#guard;
    if (this.#status.dataset['state'] !== 'ready' || !guard) return;
    if (this.#status.dataset['build'] === guard.build) return;
    this.#notes.push(`(The ${this.#status.dataset['build'] ?? 'first'} build lost its GPU.)`);
    this.#tell(guard);
  }

  #tell(guard: LlavaGuard): void {
    this.#loaded = [describe(guard), ...this.#notes].join(' ');
    this.#status.textContent = this.#loaded;
    this.#status.dataset['build'] = guard.build;
  }

  #show(progress: Progress, notes: string[]): void {
    if (progress.stage === 'fallback') {
      notes.push(`(The ${progress.build} build could not be used: ${progress.reason}.)`);
      return;
    }
    if (progress.stage === 'retry') return;
    const { stage, done, total } = progress;
    if (total > 0) this.#progress.value = done / total;
    this.#status.textContent =
      stage === 'download'
        ? `Fetching the model: ${(done / 1e6).toFixed(1)} MB`
        : `Reading the model: ${done} of ${total} tensors`;
  }
}

function describe({ info, build, threads }: LlavaGuard): string {
  if (build === 'webgpu') return `${info.name} is ready: webgpu build, ${info.device}.`;
  const workers = threads === 1 ? 'one thread' : `${threads} threads`;
  return `${info.name} is ready: ${build} build, ${workers}.`;
}
