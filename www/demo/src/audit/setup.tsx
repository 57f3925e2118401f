import type { Detail } from 'llavaguard';

import { policy } from '../policy/policy-store.js';
import { addressOf } from '../shared/route.js';
import { strings } from '../strings/index.js';
import { audit } from './audit-store.js';
import { Check, Choice } from './fields.js';

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
        <Choice
          id="audit-detail"
          value={audit.detail.value}
          options={LEVELS.map((level) => [level, picture.levels[level]])}
          onChange={(detail) => {
            audit.detail.value = detail;
          }}
        />
      </label>
      <Check
        id="audit-reasons"
        checked={audit.reasons.value}
        onChange={(reasons) => {
          audit.reasons.value = reasons;
        }}
      >
        {text.reasons}
      </Check>
      <p class="quiet">
        {name !== undefined && text.policy(name)}{' '}
        <a href={addressOf('judge')}>{text.changePolicy}</a>
      </p>
    </fieldset>
  );
}
