import { percent } from '../shared/format.js';
import { strings } from '../strings/index.js';

interface Props {
  id: string;
  probability: number;
  threshold: number;
}

/** The probability of Unsafe on a scale from 0 to 1, with the threshold in force. */
export function ProbabilityScale({ id, probability, threshold }: Props) {
  const { verdict: text } = strings.value;
  const at = 100 * threshold;
  return (
    <div class="probability">
      <div class="probability-label">
        <span id={`${id}-name`}>{text.probability}</span>
        <output id={id}>{percent(probability)}</output>
      </div>
      <div
        class="bar"
        role="meter"
        aria-labelledby={`${id}-name`}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Number((100 * probability).toFixed(1))}
        aria-valuetext={text.probabilityOf(percent(probability), percent(threshold))}
      >
        <svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
          <rect class="fill" width={100 * probability} height={1} />
          <rect class="threshold-line" x={at - 0.3} width={0.6} height={1} />
        </svg>
      </div>
      <svg class="scale" aria-hidden="true">
        {/* Near an end the threshold takes the place of the end's own number. */}
        {at > 30 && (
          <text x="0" y="12">
            0
          </text>
        )}
        <text x={`${at}%`} y="12" text-anchor={at > 70 ? 'end' : at < 30 ? 'start' : 'middle'}>
          {text.thresholdAt(percent(threshold))}
        </text>
        {at < 70 && (
          <text x="100%" y="12" text-anchor="end">
            {percent(1)}
          </text>
        )}
      </svg>
    </div>
  );
}
