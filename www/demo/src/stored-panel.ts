import { deleteStoredModel, type StoredModel, storedModels } from 'llavaguard';

import { element, showText } from './dom.js';
import { errorText } from './error-text.js';

const size = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

/** The list of models this browser keeps, each of which can be deleted. */
export class StoredPanel {
  readonly #details = element('stored', HTMLDetailsElement);
  readonly #summary = element('stored-summary', HTMLElement);
  readonly #list = element('stored-list', HTMLUListElement);
  readonly #error = element('stored-error', HTMLParagraphElement);

  /** Shows what is stored now. */
  async refresh(): Promise<void> {
    const models = await storedModels();
    const bytes = models.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
    this.#details.hidden = models.length === 0;
    this.#summary.textContent = `Kept in this browser: ${size(bytes)}`;
    this.#list.replaceChildren(...models.map((model) => this.#row(model)));
  }

  #row(model: StoredModel): HTMLElement {
    const row = document.createElement('li');
    const text = document.createElement('span');
    const state = model.complete
      ? size(model.bytes)
      : `${size(model.storedBytes)} of ${model.bytes > 0 ? size(model.bytes) : '?'}, incomplete`;
    text.textContent = `${model.name}: ${state}, ${model.verified ? 'verified' : 'not verified'}`;
    const remove = document.createElement('button');
    remove.type = 'button';
    remove.className = 'button small';
    remove.textContent = 'Delete';
    remove.setAttribute('aria-label', `Delete ${model.name} from this browser`);
    remove.addEventListener('click', () => {
      deleteStoredModel(model.id)
        .then(() => {
          showText(this.#error, undefined);
          return this.refresh();
        })
        .catch((error: unknown) => {
          showText(this.#error, errorText(error));
        });
    });
    row.append(text, remove);
    return row;
  }
}
