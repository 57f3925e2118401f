import { policy } from '../policy/policy-store.js';
import { PRESET_IDS, type PresetId, PRESETS } from '../policy/presets.js';
import { strings } from '../strings/index.js';
import { type Comparison, judge } from './judge-store.js';

/** The policy in force as it is now, to be compared with what becomes of it. */
const KEPT = 'kept';

/** Chooses what the verdict is compared with. */
export function ComparisonChooser() {
  const { verdict: text, policy: names } = strings.value;
  const comparison = judge.comparison.value;
  const chosen = (choice: string): Comparison | undefined => {
    if (choice === '') return undefined;
    if (choice === KEPT) {
      const name = policy.description.value?.name ?? '';
      return { choice, name, policy: policy.current.value };
    }
    const id = choice as PresetId;
    return { choice, name: names.presets[id], policy: { document: PRESETS[id], thresholds: {} } };
  };
  return (
    <label class="inline-field compare">
      {text.compare}
      <select
        id="compare"
        value={comparison?.choice ?? ''}
        onChange={(event) => {
          judge.compareWith(chosen(event.currentTarget.value));
        }}
      >
        <option value="">{text.compareNone}</option>
        <option value={KEPT}>
          {comparison?.choice === KEPT ? text.compareKept(comparison.name) : text.compareKeep}
        </option>
        {PRESET_IDS.map((id) => (
          <option key={id} value={id}>
            {names.presets[id]}
          </option>
        ))}
      </select>
    </label>
  );
}
