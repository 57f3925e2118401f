import type { CategoryMode, PolicyCategory } from 'llavaguard';
import { signal } from '@preact/signals';

import { Choice } from '../shared/fields.js';
import { percent } from '../shared/format.js';
import { strings } from '../strings/index.js';
import { isChanged, restored, withMode, without, withRules } from './edits.js';
import { citedRule } from './cited-rule.js';
import { policy } from './policy-store.js';
import { RuleList } from './rule-list.js';
import { MODEL_THRESHOLD, thresholdOf } from './thresholds.js';
import { ThresholdField } from './threshold-field.js';

const MODES: CategoryMode[] = ['default', 'non_violating', 'sensitive'];

/** The categories whose rules are shown; kept while another view is open. */
const opened = signal<ReadonlySet<string>>(new Set());

/** Shows a category's rules. */
export function openCategory(id: string): void {
  opened.value = new Set([...opened.value, id]);
}

/** Shows a category's rules to whoever asked for them: in sight, and with the focus there. */
export function showCategory(id: string): void {
  openCategory(id);
  requestAnimationFrame(() => {
    const card = document.getElementById(`category-${id}`);
    card?.scrollIntoView({ block: 'start' });
    card?.querySelector<HTMLElement>('.disclosure')?.focus({ preventScroll: true });
  });
}

function toggle(id: string): void {
  const next = new Set(opened.value);
  if (!next.delete(id)) next.add(id);
  opened.value = next;
}

/** A category: how it is treated, its rules, its threshold. */
export function CategoryCard({ category }: { category: PolicyCategory }) {
  const { policy: text } = strings.value;
  const { id, title, mode } = category;
  const { document, thresholds } = policy.current.value;
  const open = opened.value.has(id);
  const threshold = thresholdOf(thresholds, id);
  const cited = citedRule.value?.category === id;
  return (
    <li class="category" data-mode={mode} data-cited={cited} id={`category-${id}`}>
      <div class="category-head">
        <h3>
          <button
            type="button"
            class="disclosure"
            aria-expanded={open}
            aria-controls={`rules-${id}`}
            onClick={() => {
              toggle(id);
            }}
          >
            <span class="category-id">{id}</span>
            <span class="category-title" lang="en">
              {title}
            </span>
          </button>
        </h3>
        <span class="category-marks">
          {cited && <span class="mark">{text.cited}</span>}
          {threshold !== MODEL_THRESHOLD && (
            <span class="mark">{text.from(percent(threshold))}</span>
          )}
          {isChanged(document, id) && <span class="mark">{text.changed}</span>}
        </span>
        <Choice
          label={text.modeOf(id)}
          value={mode}
          options={MODES.map((name) => [name, text.modes[name]])}
          onChange={(chosen) => {
            change(withMode(document, id, chosen));
          }}
        />
      </div>
      {open && (
        <div class="category-body" id={`rules-${id}`}>
          <CategoryBody category={category} />
        </div>
      )}
    </li>
  );
}

function CategoryBody({ category }: { category: PolicyCategory }) {
  const { policy: text } = strings.value;
  const { id, mode, should_not, can } = category;
  const { document } = policy.current.value;
  const base = policy.base.value;
  const only = should_not.length + can.length === 1;
  const setRules = (rules: Pick<PolicyCategory, 'should_not' | 'can'>) => {
    change(withRules(document, id, rules, base));
  };
  return (
    <>
      <p class="quiet">{text.modeMeans[mode]}</p>
      <RuleList
        category={id}
        kind="should_not"
        rules={should_not}
        last={only}
        onChange={(rules) => {
          setRules({ should_not: rules, can });
        }}
      />
      <RuleList
        category={id}
        kind="can"
        rules={can}
        last={only}
        onChange={(rules) => {
          setRules({ should_not, can: rules });
        }}
      />
      <ThresholdField category={id} />
      <div class="buttons">
        {isChanged(document, id) && base?.categories.some((each) => each.id === id) && (
          <button
            class="button small"
            type="button"
            onClick={() => {
              change(restored(document, id));
            }}
          >
            {text.restore(id)}
          </button>
        )}
        <button
          class="button small"
          type="button"
          onClick={() => {
            change(without(document, id, base));
          }}
        >
          {text.remove(id)}
        </button>
      </div>
    </>
  );
}

function change(document: ReturnType<typeof withMode>): void {
  void policy.apply({ document, thresholds: policy.current.value.thresholds });
}
