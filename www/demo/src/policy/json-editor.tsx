import { useEffect, useState } from 'preact/hooks';

import { ErrorMessage } from '../shared/error-message.js';
import { strings } from '../strings/index.js';
import { importText } from './sharing.js';
import { policy } from './policy-store.js';

async function apply(text: string): Promise<void> {
  try {
    await policy.apply(importText(text), 'editor');
  } catch (error) {
    policy.refuse(error, 'editor');
  }
}

/** The policy document itself, for those who would rather write it. */
export function JsonEditor() {
  const { policy: text } = strings.value;
  const inForce = policy.description.value?.document ?? '';
  const [draft, setDraft] = useState(inForce);
  useEffect(() => {
    setDraft(inForce);
  }, [inForce]);
  const refused = policy.refusedIn.value === 'editor' ? policy.error.value : undefined;
  return (
    <details class="fold" id="policy-editor">
      <summary>{text.json}</summary>
      <textarea
        id="policy-json"
        aria-label={text.document}
        aria-invalid={refused !== undefined}
        aria-describedby={refused === undefined ? undefined : 'policy-error'}
        rows={12}
        spellcheck={false}
        autocomplete="off"
        value={draft}
        onInput={(event) => {
          setDraft(event.currentTarget.value);
        }}
      />
      <ErrorMessage id="policy-error" error={refused} />
      <button
        class="button small"
        id="policy-apply"
        type="button"
        onClick={() => void apply(draft)}
      >
        {text.apply}
      </button>
    </details>
  );
}
