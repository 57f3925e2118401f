import { type CheckedFile, type CheckOptions, Checks, type Guard } from './checks.js';
import { FilesView } from './files-view.js';
import { obstacle } from './message.js';
import { ENGLISH, type UploadStrings } from './strings.js';
import { uploadStyles } from './styles.js';

/** How a file input is guarded. */
export interface FileInputOptions extends CheckOptions {
  /** What it says; English by default. */
  strings?: UploadStrings;
  /** Where files and reasons are shown; by default in a new element behind the input. */
  container?: HTMLElement;
  /** Told whenever something became of a file. */
  onChange?: (files: readonly CheckedFile[]) => void;
}

/** A guarded input. */
export interface GuardedInput {
  /** Its files and what became of them. */
  readonly files: readonly CheckedFile[];
  /** Checks all files anew, under other options where some are given. */
  recheck(options?: CheckOptions): void;
  /** Lets the input go: nothing is checked and nothing held back any more. */
  release(): void;
}

/**
 * Guards a file input: files are judged when they are chosen, and its form cannot be submitted until
 * every one is allowed. Blocked files are explained and can be removed.
 *
 * A form that is sent past validation (`novalidate`, `form.submit()`, `new FormData(form)`) is held back
 * or goes without the files that are not allowed: fail-closed. This is help for honest users; a server
 * must not rely on what a browser says.
 */
export function guardFileInput(
  input: HTMLInputElement,
  guard: Guard,
  options: FileInputOptions = {},
): GuardedInput {
  const { strings = ENGLISH, onChange } = options;
  const container = options.container ?? document.createElement('div');
  // Inside a label it would become part of the input's name.
  if (!options.container) (input.closest('label') ?? input).after(container);
  const place = document.createElement('div');
  const root = place.attachShadow({ mode: 'open' });
  root.adoptedStyleSheets = [uploadStyles()];
  container.append(place);

  const checks: Checks = new Checks(() => {
    input.setCustomValidity(obstacle(checks.files, strings));
    view.update();
    onChange?.(checks.files);
  });
  const take = () => {
    checks.set(input.files ?? []);
  };
  const view = new FilesView(root, checks, strings, {
    remove: (file) => {
      const left = new DataTransfer();
      for (const other of input.files ?? []) if (other !== file) left.items.add(other);
      input.files = left.files;
      take();
    },
    focusElsewhere: () => {
      input.focus();
    },
  });
  checks.guard = guard;
  checks.options = options;

  const hold = (event: SubmitEvent) => {
    if (event.target !== input.form || (checks.allAllowed && known())) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    input.reportValidity();
  };
  // Files may have been set by a script, which tells nobody.
  const known = () => {
    const given = [...(input.files ?? [])];
    const same = given.length === checks.files.length;
    if (same && given.every((file, at) => checks.files[at]?.file === file)) return true;
    take();
    return false;
  };
  const strip = (event: FormDataEvent) => {
    if (event.target !== input.form || input.name === '') return;
    known();
    const allowed = new Set(
      checks.files.filter(({ status }) => status === 'allowed').map(({ file }) => file),
    );
    const entries = event.formData.getAll(input.name);
    event.formData.delete(input.name);
    for (const entry of entries) {
      // A file input that is empty sends an empty file, as servers expect.
      const empty = entry instanceof File && entry.size === 0 && entry.name === '';
      if (typeof entry === 'string') event.formData.append(input.name, entry);
      else if (empty || allowed.has(entry)) event.formData.append(input.name, entry);
    }
  };
  const reset = (event: Event) => {
    // The input is emptied after the event.
    if (event.target === input.form) queueMicrotask(take);
  };
  const scope = input.getRootNode();
  input.addEventListener('change', take);
  scope.addEventListener('submit', hold as EventListener, true);
  scope.addEventListener('formdata', strip as EventListener, true);
  scope.addEventListener('reset', reset);
  take();

  return {
    get files() {
      return checks.files;
    },
    recheck(changes = {}) {
      checks.options = { ...checks.options, ...changes };
      checks.again();
    },
    release() {
      checks.stop();
      input.removeEventListener('change', take);
      scope.removeEventListener('submit', hold as EventListener, true);
      scope.removeEventListener('formdata', strip as EventListener, true);
      scope.removeEventListener('reset', reset);
      input.setCustomValidity('');
      place.remove();
      if (!options.container) container.remove();
    },
  };
}
