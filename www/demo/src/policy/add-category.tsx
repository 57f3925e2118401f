import { useState } from 'preact/hooks';

import { strings } from '../strings/index.js';
import { openCategory } from './category-card.js';
import { withCategory } from './edits.js';
import { policy } from './policy-store.js';

/** Adds a category of the user's own. */
export function AddCategory() {
  const { policy: text } = strings.value;
  const [open, setOpen] = useState(false);
  if (!open) {
    return (
      <button
        class="add wide"
        type="button"
        id="add-category"
        onClick={() => {
          setOpen(true);
        }}
      >
        {text.addCategory}
      </button>
    );
  }
  const add = async (title: string, rule: string) => {
    const { document, thresholds } = policy.current.value;
    const added = withCategory(document, policy.base.value, title, rule);
    if (!(await policy.apply({ document: added.document, thresholds }))) return;
    openCategory(added.id);
    setOpen(false);
  };
  return (
    <form
      class="category new-category"
      aria-label={text.newCategory}
      onSubmit={(event) => {
        event.preventDefault();
        const data = new FormData(event.currentTarget);
        const field = (name: string) => {
          const value = data.get(name);
          return typeof value === 'string' ? value.trim() : '';
        };
        void add(field('title'), field('rule'));
      }}
    >
      <label class="field">
        <span>{text.categoryTitle}</span>
        <input name="title" required maxLength={80} lang="en" autoFocus />
      </label>
      <label class="field">
        <span>{text.firstRule}</span>
        <textarea name="rule" required rows={2} lang="en" />
      </label>
      <p class="quiet">{text.newCategoryHint}</p>
      <div class="buttons">
        <button class="button small primary" type="submit">
          {text.add}
        </button>
        <button
          class="button small"
          type="button"
          onClick={() => {
            setOpen(false);
          }}
        >
          {text.cancel}
        </button>
      </div>
    </form>
  );
}
