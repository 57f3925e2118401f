import type { Detail } from 'llavaguard';

import { policy } from '../policy/policy-store.js';
import { addressOf } from '../shared/route.js';
import { strings } from '../strings/index.js';
import { audit } from './audit-store.js';

const LEVELS: Detail[] = ['low', 'auto', 'high'];

/** How pictures are judged from now on. */
export function Setup() {
  const { audit: text, picture } = strings.value;
  const name = policy.description.value?.name;
  return (
    <fieldset class="audit-setup">
      <legend class="visually-hidden">{text.setup}</legend>
      <label class="inline-field">
        {text.detail}
        <select
          id="audit-detail"
          value={audit.detail.value}
          onChange={(event) => {
            audit.detail.value = event.currentTarget.value as Detail;
          }}
        >
          {LEVELS.map((level) => (
            <option key={level} value={level}>
              {picture.levels[level]}
            </option>
          ))}
        </select>
      </label>
      <label class="inline-field">
        <input
          id="audit-reasons"
          type="checkbox"
          checked={audit.reasons.value}
          onChange={(event) => {
            audit.reasons.value = event.currentTarget.checked;
          }}
        />
        {text.reasons}
      </label>
      <p class="quiet">
        {name !== undefined && text.policy(name)}{' '}
        <a href={addressOf('judge')}>{text.changePolicy}</a>
      </p>
    </fieldset>
  );
}
