import { useEffect, useState } from 'preact/hooks';

import { strings } from '../strings/index.js';
import { importText } from './sharing.js';
import { policy } from './policy-store.js';

/** The policy document itself, for those who would rather write it. */
export function JsonEditor() {
  const { policy: text } = strings.value;
  const inForce = policy.description.value?.document ?? '';
  const [draft, setDraft] = useState(inForce);
  useEffect(() => {
    setDraft(inForce);
  }, [inForce]);
  return (
    <details class="fold" id="policy-editor">
      <summary>{text.json}</summary>
      <textarea
        id="policy-json"
        aria-label={text.document}
        aria-invalid={policy.error.value !== undefined}
        aria-describedby={policy.error.value === undefined ? undefined : 'policy-error'}
        rows={12}
        spellcheck={false}
        autocomplete="off"
        value={draft}
        onInput={(event) => {
          setDraft(event.currentTarget.value);
        }}
      />
      <button
        class="button small"
        id="policy-apply"
        type="button"
        onClick={() => void policy.apply(importText(draft))}
      >
        {text.apply}
      </button>
    </details>
  );
}
