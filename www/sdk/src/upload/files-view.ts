import type { CheckedFile, Checks } from './checks.js';
import { obstacle } from './message.js';
import type { UploadStrings } from './strings.js';

/** Before a status, for those who do not see its colour. */
const MARKS: Partial<Record<CheckedFile['status'], string>> = {
  allowed: '✓',
  blocked: '✕',
  undecided: '?',
};

/** Side of a thumbnail, in pixels. */
const THUMBNAIL = 112;

/** What the view leaves to where it stands. */
export interface ViewActions {
  /** Takes a file out of the input. */
  remove: (file: File) => void;
  /** Called where the file that had the focus is gone, and no other is left. */
  focusElsewhere: () => void;
}

/** Shows files and what became of them, and tells it to screen readers. */
export class FilesView {
  readonly #checks: Checks;
  readonly #list: HTMLUListElement;
  readonly #live: HTMLParagraphElement;
  readonly #rows = new Map<File, { row: HTMLLIElement; shown?: CheckedFile }>();
  readonly #actions: ViewActions;
  #strings: UploadStrings;

  constructor(root: ShadowRoot, checks: Checks, strings: UploadStrings, actions: ViewActions) {
    this.#actions = actions;
    this.#checks = checks;
    this.#strings = strings;
    this.#list = make('ul', 'files', { part: 'files' });
    // Safari forgets that lists without bullets are lists.
    this.#list.role = 'list';
    this.#live = make('p', 'unseen');
    this.#live.role = 'status';
    root.append(this.#list, this.#live);
  }

  set strings(strings: UploadStrings) {
    this.#strings = strings;
    for (const entry of this.#rows.values()) delete entry.shown;
    this.update();
  }

  /** Shows what there is now. */
  update(): void {
    const { files } = this.#checks;
    const present = new Set(files.map(({ file }) => file));
    this.#list.ariaLabel = this.#strings.list;
    let focusLost = false;
    for (const [file, { row }] of this.#rows) {
      if (present.has(file)) continue;
      focusLost ||= row.matches(':focus-within');
      row.remove();
      this.#rows.delete(file);
    }
    for (const checked of files) this.#show(checked);
    const next = this.#list.querySelector('button');
    if (focusLost && next) next.focus();
    else if (focusLost) this.#actions.focusElsewhere();
    this.#say(files);
  }

  /** Said once for each change: not every step of every file. */
  #say(files: readonly CheckedFile[]): void {
    const text =
      files.length === 0
        ? ''
        : obstacle(files, this.#strings) || this.#strings.allAllowed(files.length);
    if (this.#live.textContent !== text) this.#live.textContent = text;
  }

  #show(checked: CheckedFile): void {
    let entry = this.#rows.get(checked.file);
    if (!entry) {
      const row = make('li', 'file', { part: 'file' });
      row.append(thumbnail(checked.file));
      entry = { row };
      this.#rows.set(checked.file, entry);
      this.#list.append(row);
    }
    if (entry.shown === checked) return;
    entry.shown = checked;
    const { row } = entry;
    // A button that stays keeps the focus.
    const focused = row.querySelector<HTMLButtonElement>('button:focus')?.dataset['act'];
    row.dataset['status'] = checked.status;
    row.replaceChildren(row.firstElementChild ?? '', ...this.#parts(checked));
    if (focused !== undefined) {
      const same = row.querySelector<HTMLButtonElement>(`button[data-act="${focused}"]`);
      (same ?? row.querySelector('button'))?.focus();
    }
  }

  #parts(checked: CheckedFile): HTMLElement[] {
    const { file, status, assessment, error, appeal } = checked;
    const strings = this.#strings;
    const parts: HTMLElement[] = [];
    const head = make('div', 'head');
    const state = make('span', 'status', { text: strings[status], part: 'status' });
    const mark = MARKS[status];
    if (mark !== undefined) state.dataset['mark'] = mark;
    head.append(make('span', 'name', { text: file.name }), state);
    parts.push(head);
    if (status === 'checking') parts.push(make('div', 'bar'));
    const why =
      status === 'blocked' && assessment
        ? strings.because(assessment.category.name, assessment.rationale ?? '')
        : status === 'undecided' && error
          ? strings.notChecked(error.message)
          : '';
    if (why !== '') parts.push(make('p', 'why', { text: why, part: 'reason' }));
    const note = {
      open: strings.appealing,
      granted: strings.appealGranted,
      refused: strings.appealRefused,
      failed: strings.appealFailed,
    };
    if (appeal) parts.push(make('p', 'note', { text: note[appeal] }));
    parts.push(this.#buttons(checked));
    return parts;
  }

  #buttons({ file, status, appeal }: CheckedFile): HTMLElement {
    const strings = this.#strings;
    const buttons = make('div', 'buttons');
    const add = (act: string, text: string, label: string, run: () => void) => {
      const button = make('button', '', { text, part: 'button' });
      button.type = 'button';
      button.dataset['act'] = act;
      button.ariaLabel = label;
      button.addEventListener('click', run);
      buttons.append(button);
    };
    add('remove', strings.remove, strings.removeNamed(file.name), () => {
      this.#actions.remove(file);
    });
    if (status === 'undecided') {
      add('again', strings.again, strings.againNamed(file.name), () => {
        this.#checks.again(file);
      });
    }
    const appealable = status === 'blocked' && (appeal === undefined || appeal === 'failed');
    if (appealable && this.#checks.options.onAppeal) {
      add('appeal', strings.appeal, strings.appealNamed(file.name), () => {
        void this.#checks.appeal(file);
      });
    }
    return buttons;
  }
}

/** An element with a class, perhaps a text and a part that sites may style. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  { text, part }: { text?: string; part?: string } = {},
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  if (text !== undefined) made.textContent = text;
  if (part !== undefined) made.part.add(part);
  return made;
}

/** A small picture of the file; drawn, since policies may forbid `blob:` addresses of images. */
function thumbnail(file: File): HTMLElement {
  const frame = make('div', 'thumb');
  frame.ariaHidden = 'true';
  void createImageBitmap(file, { resizeHeight: THUMBNAIL, resizeQuality: 'medium' })
    .then((bitmap) => {
      const { width, height } = bitmap;
      const canvas = Object.assign(document.createElement('canvas'), { width, height });
      canvas.getContext('2d')?.drawImage(bitmap, 0, 0);
      bitmap.close();
      frame.append(canvas);
    })
    // What the browser cannot show has an empty frame.
    .catch(() => undefined);
  return frame;
}
