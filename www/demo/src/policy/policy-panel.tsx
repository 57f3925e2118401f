import { useEffect } from 'preact/hooks';

import { ErrorMessage } from '../shared/error-message.js';
import { strings } from '../strings/index.js';
import { AddCategory } from './add-category.js';
import { CategoryCard } from './category-card.js';
import { JsonEditor } from './json-editor.js';
import { policy } from './policy-store.js';
import { PolicyToolbar } from './policy-toolbar.js';
import { PromptPreview } from './prompt-preview.js';
import { RemovedCategories } from './removed-categories.js';
import { undoByKeyboard } from './undo-keys.js';

/** The policy in force, and how it is changed. */
export function PolicyPanel() {
  const { policy: text } = strings.value;
  const description = policy.description.value;
  useEffect(undoByKeyboard, []);
  return (
    <section class="policy" id="policy-card" aria-labelledby="policy-heading">
      <div class="policy-head">
        <h2 id="policy-heading">{text.heading}</h2>
        <p class="quiet">{text.explanation}</p>
      </div>
      <PolicyToolbar />
      {policy.refusedIn.value === 'cards' && (
        <ErrorMessage id="policy-error" error={policy.error.value} />
      )}
      {description ? (
        <>
          <ul class="categories">
            {description.categories.map((category) => (
              <CategoryCard key={category.id} category={category} />
            ))}
          </ul>
          <AddCategory />
          <RemovedCategories />
          <PromptPreview />
        </>
      ) : (
        <p class="quiet">{text.waiting}</p>
      )}
      <JsonEditor />
    </section>
  );
}
