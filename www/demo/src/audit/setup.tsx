import { policy } from '../policy/policy-store.js';
import { DetailChoice } from '../shared/detail-choice.js';
import { Check } from '../shared/fields.js';
import { addressOf } from '../shared/route.js';
import { strings } from '../strings/index.js';
import { audit } from './audit-store.js';

/** How pictures are judged from now on. */
export function Setup() {
  const { audit: text } = strings.value;
  const name = policy.description.value?.name;
  return (
    <fieldset class="audit-setup">
      <legend class="visually-hidden">{text.setup}</legend>
      <DetailChoice id="audit-detail" detail={audit.detail} />
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
