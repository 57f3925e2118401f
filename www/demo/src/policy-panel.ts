import type { CategoryRules, PolicyDescription, PolicyDocument } from 'llavaguard';

import { element, showText } from './dom.js';
import { errorCode, errorText } from './error-text.js';

/** LlavaGuard's own policy. */
const DEFAULT_POLICY: PolicyDocument = {};

/** The card that holds the policy: a switch for each category, and the document itself. */
export class PolicyPanel {
  readonly #list = element('categories', HTMLUListElement);
  readonly #json = element('policy-json', HTMLTextAreaElement);
  readonly #error = element('policy-error', HTMLParagraphElement);
  readonly #check: (policy: string) => Promise<PolicyDescription>;
  readonly #onPolicy: (policy: string) => void;
  #document: PolicyDocument = DEFAULT_POLICY;

  constructor(
    check: (policy: string) => Promise<PolicyDescription>,
    onPolicy: (policy: string) => void,
  ) {
    this.#check = check;
    this.#onPolicy = onPolicy;
    element('policy-reset', HTMLButtonElement).addEventListener('click', () => {
      void this.#apply(JSON.stringify(DEFAULT_POLICY));
    });
    element('policy-apply', HTMLButtonElement).addEventListener('click', () => {
      void this.#apply(this.#json.value);
    });
  }

  /** Draws the policy in force; called when there is an engine to check policies with. */
  async refresh(): Promise<void> {
    await this.#apply(JSON.stringify(this.#document));
  }

  async #apply(text: string): Promise<void> {
    try {
      const description = await this.#check(text);
      this.#document = JSON.parse(description.document) as PolicyDocument;
      this.#json.value = description.document;
      this.#draw(description);
      // Only now: as long as a refused policy may still be the last word, its error stands.
      showText(this.#error, undefined);
      this.#json.removeAttribute('aria-invalid');
      this.#onPolicy(description.document);
    } catch (error) {
      this.#json.setAttribute('aria-invalid', 'true');
      this.#error.dataset['code'] = errorCode(error);
      showText(this.#error, errorText(error));
    }
  }

  #draw({ categories }: PolicyDescription): void {
    const focused = document.activeElement?.id;
    this.#list.replaceChildren(...categories.map((category) => this.#row(category)));
    if (focused) document.getElementById(focused)?.focus();
  }

  #row({ id, title, mode }: PolicyDescription['categories'][number]): HTMLLIElement {
    const row = document.createElement('li');
    const label = document.createElement('label');
    const name = document.createElement('span');
    const state = document.createElement('span');
    const toggle = document.createElement('input');
    toggle.type = 'checkbox';
    toggle.id = `category-${id}`;
    toggle.checked = mode !== 'non_violating';
    toggle.setAttribute('role', 'switch');
    toggle.addEventListener('change', () => {
      void this.#apply(JSON.stringify(this.#changed(id, toggle.checked)));
    });
    name.className = 'category-name';
    name.textContent = `${id}: ${title}`;
    state.className = 'category-state quiet';
    state.textContent = {
      default: 'by its rules',
      non_violating: 'allowed',
      sensitive: 'forbidden',
    }[mode];
    label.append(name, state, toggle);
    row.append(label);
    return row;
  }

  /** The document with one category by its rules, or allowed. */
  #changed(id: string, enforced: boolean): PolicyDocument {
    const { [id]: before, ...others } = this.#document.categories ?? {};
    const rules: CategoryRules = typeof before === 'object' ? before : {};
    const { mode: _, ...own } = rules;
    const hasOwn = Object.keys(own).length > 0;
    const after = hasOwn
      ? { ...own, mode: enforced ? ('default' as const) : ('non_violating' as const) }
      : 'non_violating';
    return {
      ...this.#document,
      categories: enforced && !hasOwn ? others : { ...others, [id]: after },
    };
  }
}
