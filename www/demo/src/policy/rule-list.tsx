import { useState } from 'preact/hooks';

import { strings } from '../strings/index.js';
import { citedRule } from './cited-rule.js';
import type { RuleKind } from './edits.js';
import { RuleEditor } from './rule-editor.js';

interface Props {
  category: string;
  kind: RuleKind;
  rules: string[];
  /** Whether there is one rule only in the category, which has to stay. */
  last: boolean;
  onChange: (rules: string[]) => void;
}

/** One of a category's two lists of rules, each of which can be changed. */
export function RuleList({ category, kind, rules, last, onChange }: Props) {
  const { policy: text } = strings.value;
  /** The rule that is being changed; one behind the last is being added. */
  const [editing, setEditing] = useState<number>();
  const close = () => {
    setEditing(undefined);
  };
  const cited = citedRule.value;
  const heading = `${kind}-${category}`;
  return (
    <div class="rules">
      <h4 id={heading}>{text.kinds[kind]}</h4>
      <ul aria-labelledby={heading}>
        {rules.map((rule, at) =>
          editing === at ? (
            <li key={rule}>
              <RuleEditor
                rule={rule}
                onSave={(changed) => {
                  close();
                  if (changed !== rule) onChange(rules.with(at, changed));
                }}
                onCancel={close}
              />
            </li>
          ) : (
            <li
              key={rule}
              class="rule"
              data-cited={cited?.category === category && cited.rule === rule}
            >
              <span class="rule-text" lang="en">
                {rule}
                {cited?.category === category && cited.rule === rule && (
                  <span class="guess" lang={undefined}>
                    {text.guess}
                  </span>
                )}
              </span>
              <span class="rule-tools">
                <button
                  class="icon"
                  type="button"
                  aria-label={text.editRule(rule)}
                  title={text.edit}
                  onClick={() => {
                    setEditing(at);
                  }}
                >
                  ✎
                </button>
                <button
                  class="icon"
                  type="button"
                  aria-label={text.removeRule(rule)}
                  title={last ? text.lastRule : text.removeShort}
                  disabled={last}
                  onClick={() => {
                    onChange(rules.filter((_, other) => other !== at));
                  }}
                >
                  ✕
                </button>
              </span>
            </li>
          ),
        )}
        {editing === rules.length && (
          <li>
            <RuleEditor
              rule=""
              onSave={(added) => {
                close();
                if (added !== '') onChange([...rules, added]);
              }}
              onCancel={close}
            />
          </li>
        )}
      </ul>
      {editing === undefined && (
        <button
          class="add"
          type="button"
          aria-label={text.addRuleTo[kind]}
          onClick={() => {
            setEditing(rules.length);
          }}
        >
          {text.addRule}
        </button>
      )}
    </div>
  );
}
