import { useLayoutEffect, useRef } from 'preact/hooks';

import { strings } from '../strings/index.js';

interface Props {
  rule: string;
  onSave: (rule: string) => void;
  onCancel: () => void;
}

/** The text of a rule while it is changed. Enter saves it, Escape leaves it as it was. */
export function RuleEditor({ rule, onSave, onCancel }: Props) {
  const { policy: text } = strings.value;
  const field = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    field.current?.focus();
    field.current?.setSelectionRange(rule.length, rule.length);
  }, []);
  const save = () => {
    const changed = field.current?.value.replace(/\s+/g, ' ').trim() ?? '';
    if (changed === '') onCancel();
    else onSave(changed);
  };
  return (
    <div class="rule-editor">
      <textarea
        ref={field}
        lang="en"
        rows={2}
        defaultValue={rule}
        aria-label={text.ruleText}
        onKeyDown={(event) => {
          if (event.key === 'Escape') onCancel();
          if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          save();
        }}
      />
      <div class="buttons">
        <button class="button small primary" type="button" onClick={save}>
          {text.save}
        </button>
        <button class="button small" type="button" onClick={onCancel}>
          {text.cancel}
        </button>
      </div>
    </div>
  );
}
