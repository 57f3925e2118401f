import { percent } from '../shared/format.js';
import { strings } from '../strings/index.js';
import { policy } from './policy-store.js';
import { MODEL_THRESHOLD, thresholdOf } from './thresholds.js';

/** From which probability on the page calls a picture of this category Unsafe. */
export function ThresholdField({ category }: { category: string }) {
  const { policy: text } = strings.value;
  const { thresholds } = policy.current.value;
  const threshold = thresholdOf(thresholds, category);
  const own = threshold !== MODEL_THRESHOLD;
  const id = `threshold-${category}`;
  return (
    <div class="threshold">
      <label for={id}>{text.threshold}</label>
      <input
        id={id}
        type="range"
        min={1}
        max={99}
        value={Math.round(100 * threshold)}
        aria-valuetext={percent(threshold)}
        aria-describedby={`${id}-means`}
        onChange={(event) => {
          const value = Number(event.currentTarget.value) / 100;
          const { [category]: _, ...others } = thresholds;
          policy.setThresholds(
            value === MODEL_THRESHOLD ? others : { ...others, [category]: value },
          );
        }}
      />
      <output for={id}>{percent(threshold)}</output>
      <p class="quiet" id={`${id}-means`}>
        {own ? text.thresholdMeans(percent(threshold)) : text.thresholdOfModel}
      </p>
    </div>
  );
}
