import { LlavaGuard, type Progress } from 'llavaguard';

import { element, showText } from './dom.js';
import { errorCode, errorText } from './error-text.js';

/** The card that loads the model and says what runs. */
export class ModelPanel {
  readonly #status = element('model-status', HTMLParagraphElement);
  readonly #progress = element('model-progress', HTMLProgressElement);
  readonly #error = element('model-error', HTMLParagraphElement);
  readonly #onGuard: (guard: LlavaGuard) => void;
  readonly #onFailed: () => void;
  #loading: AbortController | undefined;
  #loaded: string | undefined;

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
    try {
      const guard = await LlavaGuard.load({
        model,
        signal: loading.signal,
        onProgress: (progress) => {
          this.#show(progress, notes);
        },
      });
      this.#loaded = [describe(guard), ...notes].join(' ');
      this.#status.textContent = this.#loaded;
      this.#status.dataset['state'] = 'ready';
      this.#status.dataset['build'] = guard.build;
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

  #show(progress: Progress, notes: string[]): void {
    if (progress.stage === 'fallback') {
      notes.push(`(The ${progress.build} build did not start: ${progress.reason}.)`);
      return;
    }
    const { stage, done, total } = progress;
    if (total > 0) this.#progress.value = done / total;
    this.#status.textContent =
      stage === 'download'
        ? `Fetching the model: ${(done / 1e6).toFixed(1)} MB`
        : `Reading the model: ${done} of ${total} tensors`;
  }
}

function describe({ info, build, threads }: LlavaGuard): string {
  const workers = threads === 1 ? 'one thread' : `${threads} threads`;
  return `${info.name} is ready: ${build} build, ${workers}.`;
}
