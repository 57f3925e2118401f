import {
  type BuildName,
  forgetModelFile,
  LlavaGuard,
  type ModelSource,
  openModelFile,
  type Progress,
  rememberedModelFile,
  rememberModelFile,
} from 'llavaguard';

import { element, showText } from './dom.js';
import { errorCode, errorText } from './error-text.js';
import { StoredPanel } from './stored-panel.js';

/** A picker that gives handles, which can be remembered; not every browser has one. */
type Picker = (options: {
  types: { description: string; accept: Record<string, string[]> }[];
}) => Promise<FileSystemFileHandle[]>;

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
  readonly #source = element('model-source', HTMLParagraphElement);
  readonly #again = element('model-again', HTMLButtonElement);
  readonly #stored = new StoredPanel();
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
    const { showOpenFilePicker: pick } = globalThis as { showOpenFilePicker?: Picker };
    input.addEventListener('click', (event) => {
      // A handle can be remembered, a chosen file cannot.
      if (!pick) return;
      event.preventDefault();
      void this.#pick(pick);
    });
    void this.#offerRemembered();
  }

  /** Loads a file the user has chosen, and remembers it where the browser can. */
  async loadFile(
    file: File,
    handle: Promise<FileSystemHandle | null> | FileSystemHandle | undefined,
  ): Promise<void> {
    const found = await handle;
    if (found instanceof FileSystemFileHandle) {
      await rememberModelFile(found).catch(() => undefined);
      void this.#offerRemembered();
    }
    await this.load(file, file.name);
  }

  async #pick(pick: Picker): Promise<void> {
    const accept = { 'application/octet-stream': ['.gguf'] };
    const types = [{ description: 'Model file', accept }];
    // Whoever closes the picker wants nothing.
    const [handle] = await pick({ types }).catch(() => []);
    if (handle) await this.loadFile(await handle.getFile(), handle);
  }

  /** Offers the file that was used last, since it lies where it lay. */
  async #offerRemembered(): Promise<void> {
    const handle = await rememberedModelFile();
    this.#again.hidden = handle === undefined;
    if (!handle) return;
    this.#again.textContent = `Use ${handle.name} again`;
    this.#again.onclick = () => {
      openModelFile(handle)
        .then((file) => this.load(file, file.name))
        .catch(async () => {
          // It is gone, or the user would rather not.
          await forgetModelFile();
          this.#again.hidden = true;
        });
    };
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
    showText(this.#source, undefined);
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
      showText(this.#source, describeSource(guard.source));
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
      void this.#stored.refresh();
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
    const { done, total } = progress;
    if (total > 0) this.#progress.value = done / total;
    this.#status.textContent = describeProgress(progress);
  }
}

function describeProgress(progress: Exclude<Progress, { stage: 'fallback' | 'retry' }>): string {
  const { stage, done, total } = progress;
  switch (stage) {
    case 'wait':
      return 'Another tab is loading this model; waiting for it…';
    case 'verify':
      return `Checking what is stored: ${megabytes(done, total)}`;
    case 'download': {
      const { bytesPerSecond, secondsLeft } = progress;
      const rate = bytesPerSecond > 0 ? `, ${(bytesPerSecond / 1e6).toFixed(1)} MB/s` : '';
      const left = secondsLeft === undefined ? '' : `, ${Math.ceil(secondsLeft)} s left`;
      return `Fetching the model: ${megabytes(done, total)}${rate}${left}`;
    }
    default:
      return `Reading the model: ${done} of ${total} tensors`;
  }
}

function megabytes(done: number, total: number): string {
  const all = total > 0 ? ` of ${(total / 1e6).toFixed(1)}` : '';
  return `${(done / 1e6).toFixed(1)}${all} MB`;
}

const PLACES: Record<ModelSource['storage'], string> = {
  files: 'Kept in this browser, so the page works without a network.',
  cache: 'Kept in this browser, so the page works without a network.',
  memory: 'This browser lets the page keep nothing: it is fetched again next time.',
  file: 'Read from your file.',
};

function describeSource({ verified, storage, repaired }: ModelSource): string {
  const trust = verified ? 'Every byte was verified.' : 'Its bytes were not verified.';
  const mended = repaired > 0 ? ` ${repaired} damaged pieces were fetched again.` : '';
  return `${trust} ${PLACES[storage]}${mended}`;
}

function describe({ info, build, threads }: LlavaGuard): string {
  if (build === 'webgpu') return `${info.name} is ready: webgpu build, ${info.device}.`;
  const workers = threads === 1 ? 'one thread' : `${threads} threads`;
  return `${info.name} is ready: ${build} build, ${workers}.`;
}
