import { type CheckedFile, type CheckOptions, Checks, type Guard } from './checks.js';
import { FilesView, make } from './files-view.js';
import { obstacle } from './message.js';
import { ENGLISH, type UploadStrings } from './strings.js';
import { uploadStyles } from './styles.js';

/** Where there are no elements, as on a server, the module can still be loaded. */
const Base =
  typeof HTMLElement === 'undefined' ? (Object as unknown as typeof HTMLElement) : HTMLElement;

/**
 * `<llavaguard-upload name="photos" multiple required>`: a form field for pictures that are judged when
 * they are chosen or dropped. Its value in the form are the allowed files alone, and the form cannot be
 * submitted while one is being checked or is blocked.
 *
 * Attributes `name`, `accept`, `multiple`, `required` and `disabled` are those of a file input. It looks
 * as its custom properties (`--llavaguard-accent` …) and parts (`drop`, `choose`, `files`, `file`, `status`,
 * `reason`, `button`) say. After each change it dispatches `change`, which bubbles.
 *
 * Register it by {@link defineUploadElement}.
 */
export class LlavaGuardUpload extends Base {
  static readonly formAssociated = true;
  static readonly observedAttributes = ['name', 'accept', 'multiple', 'required', 'disabled'];

  readonly #internals: ElementInternals;
  readonly #checks: Checks;
  readonly #view: FilesView;
  readonly #input: HTMLInputElement;
  readonly #drop: HTMLDivElement;
  #strings: UploadStrings = ENGLISH;
  #disabledByForm = false;

  constructor() {
    super();
    this.#internals = this.attachInternals();
    const root = this.attachShadow({ mode: 'open', delegatesFocus: true });
    root.adoptedStyleSheets = [uploadStyles()];
    this.#drop = make('div', 'drop', { part: 'drop' });
    this.#input = make('input', 'unseen');
    this.#input.type = 'file';
    this.#input.id = 'input';
    root.append(this.#drop);
    this.#checks = new Checks(() => {
      this.#changed();
    });
    this.#view = new FilesView(root, this.#checks, this.#strings, {
      remove: (file) => {
        this.#checks.remove(file);
      },
      focusElsewhere: () => {
        this.#input.focus();
      },
    });
    this.#label();
    this.#listen();
    this.#settle();
  }

  /** What judges. Until there is one, files wait. */
  get guard(): Guard | undefined {
    return this.#checks.guard;
  }

  set guard(guard: Guard | undefined) {
    this.#checks.guard = guard;
    if (this.#checks.files.length > 0) this.#checks.again();
  }

  /** How files are checked; set anew, all are checked again. */
  get options(): CheckOptions {
    return this.#checks.options;
  }

  set options(options: CheckOptions) {
    this.#checks.options = options;
    if (this.#checks.files.length > 0) this.#checks.again();
  }

  /** What it says; English by default. */
  get strings(): UploadStrings {
    return this.#strings;
  }

  set strings(strings: UploadStrings) {
    this.#strings = strings;
    this.#label();
    this.#view.strings = strings;
    this.#settle();
  }

  /** The files and what became of them. */
  get files(): readonly CheckedFile[] {
    return this.#checks.files;
  }

  /** Takes files as if they were chosen. */
  add(files: Iterable<File>): void {
    const taken = [...files];
    const several = this.multiple;
    const before = several ? this.#checks.files.map(({ file }) => file) : [];
    this.#checks.set([...before, ...(several ? taken : taken.slice(0, 1))]);
  }

  /** The form it belongs to. */
  get form(): HTMLFormElement | null {
    return this.#internals.form;
  }

  /** The field's name in the form. */
  get name(): string {
    return this.getAttribute('name') ?? '';
  }

  set name(name: string) {
    this.setAttribute('name', name);
  }

  /** What the file dialogue offers; nothing is let through or refused for it. */
  get accept(): string {
    return this.getAttribute('accept') ?? '';
  }

  set accept(accept: string) {
    this.setAttribute('accept', accept);
  }

  /** Whether it takes several files. */
  get multiple(): boolean {
    return this.hasAttribute('multiple');
  }

  set multiple(multiple: boolean) {
    this.toggleAttribute('multiple', multiple);
  }

  /** Whether the form needs a file. */
  get required(): boolean {
    return this.hasAttribute('required');
  }

  set required(required: boolean) {
    this.toggleAttribute('required', required);
  }

  /** Whether it takes none. */
  get disabled(): boolean {
    return this.hasAttribute('disabled');
  }

  set disabled(disabled: boolean) {
    this.toggleAttribute('disabled', disabled);
  }

  /** What keeps the form from being sent. */
  get validity(): ValidityState {
    return this.#internals.validity;
  }

  /** The same in a sentence; empty where nothing does. */
  get validationMessage(): string {
    return this.#internals.validationMessage;
  }

  /** Whether the form may be sent, as far as this field goes. */
  checkValidity(): boolean {
    return this.#internals.checkValidity();
  }

  /** The same, and the browser tells the user. */
  reportValidity(): boolean {
    return this.#internals.reportValidity();
  }

  /** @internal */
  attributeChangedCallback(): void {
    this.#input.accept = this.accept;
    this.#input.multiple = this.multiple;
    this.#input.disabled = this.#disabledByForm || this.disabled;
    this.#label();
    this.#settle();
  }

  /** @internal */
  formDisabledCallback(disabled: boolean): void {
    this.#disabledByForm = disabled;
    this.attributeChangedCallback();
  }

  /** @internal */
  formResetCallback(): void {
    this.#checks.set([]);
  }

  /** @internal */
  disconnectedCallback(): void {
    // It may only have been moved.
    queueMicrotask(() => {
      if (!this.isConnected) this.#checks.stop();
    });
  }

  /** @internal */
  connectedCallback(): void {
    if (this.#checks.files.some(({ status }) => status === 'checking')) this.#checks.again();
  }

  #label(): void {
    const several = this.#input.multiple;
    const { choose, drop, private: stays } = this.#strings;
    const label = make('label', 'choose', { text: choose(several), part: 'choose' });
    label.htmlFor = this.#input.id;
    const hint = make('span', 'hint', { text: drop(several) });
    const note = make('p', 'private', { text: stays });
    // The input itself stays where it is: it may have the focus.
    for (const old of [...this.#drop.children]) if (old !== this.#input) old.remove();
    if (!this.#input.isConnected || !this.#drop.contains(this.#input))
      this.#drop.append(this.#input);
    this.#drop.append(label, hint, note);
  }

  #listen(): void {
    this.#input.addEventListener('change', () => {
      this.add(this.#input.files ?? []);
      // So that choosing the same file once more is a change again.
      this.#input.value = '';
    });
    const over = (event: DragEvent, is: boolean) => {
      event.preventDefault();
      this.#drop.classList.toggle('over', is && !this.#input.disabled);
    };
    this.#drop.addEventListener('dragover', (event) => {
      over(event, true);
    });
    this.#drop.addEventListener('dragleave', (event) => {
      over(event, false);
    });
    this.#drop.addEventListener('drop', (event) => {
      over(event, false);
      if (!this.#input.disabled) this.add(event.dataTransfer?.files ?? []);
    });
  }

  #changed(): void {
    this.#settle();
    this.#view.update();
    this.dispatchEvent(new Event('change', { bubbles: true }));
  }

  /** Tells the form what it gets and what keeps it from being sent. */
  #settle(): void {
    const { files } = this.#checks;
    const allowed = files.filter(({ status }) => status === 'allowed');
    const value = new FormData();
    for (const { file } of allowed) value.append(this.name, file);
    this.#internals.setFormValue(allowed.length > 0 ? value : null);
    const message = obstacle(files, this.#strings);
    if (message !== '') {
      this.#internals.setValidity({ customError: true }, message, this.#input);
    } else if (files.length === 0 && this.required) {
      const none = this.#strings.noneChosen;
      this.#internals.setValidity({ valueMissing: true }, none, this.#input);
    } else {
      this.#internals.setValidity({});
    }
  }
}

/** Registers `<llavaguard-upload>`, or the element under another name; again does nothing. */
export function defineUploadElement(name = 'llavaguard-upload'): void {
  if (!customElements.get(name)) customElements.define(name, class extends LlavaGuardUpload {});
}

declare global {
  interface HTMLElementTagNameMap {
    'llavaguard-upload': LlavaGuardUpload;
  }
}
