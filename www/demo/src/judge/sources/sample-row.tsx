import { useState } from 'preact/hooks';

import { bring } from '../../shared/accept-pictures.js';
import { ErrorMessage } from '../../shared/error-message.js';
import { strings } from '../../strings/index.js';
import { type Sample, sampleFile, SAMPLES } from './samples.js';

/** Photos that come with the page, to try it with. */
export function SampleRow() {
  const { picture: text } = strings.value;
  const [failure, setFailure] = useState<unknown>();
  const take = async (sample: Sample) => {
    try {
      const file = await sampleFile(sample);
      setFailure(undefined);
      bring([{ file, name: file.name }]);
    } catch (error) {
      setFailure(error);
    }
  };
  return (
    <div class="samples">
      <h3 id="samples-heading">{text.samples}</h3>
      <ul aria-labelledby="samples-heading">
        {SAMPLES.map((sample) => (
          <li key={sample.id}>
            <button
              type="button"
              title={`${text.sample[sample.id]} (${sample.credit})`}
              onClick={() => void take(sample)}
            >
              <img src={sample.url} alt={text.sample[sample.id]} width={64} height={64} />
            </button>
          </li>
        ))}
      </ul>
      <details class="credits quiet">
        <summary>{text.credits}</summary>
        <ul>
          {SAMPLES.map(({ id, credit }) => (
            <li key={id}>
              {text.sample[id]}: {credit}
            </li>
          ))}
        </ul>
      </details>
      <ErrorMessage error={failure} />
    </div>
  );
}
