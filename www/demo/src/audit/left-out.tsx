import { whole } from '../shared/format.js';
import { strings } from '../strings/index.js';
import { audit } from './audit-store.js';

/** What was left out of the last choice, so that nothing goes missing unsaid. */
export function LeftOut() {
  const { leftOut: text } = strings.value.audit;
  const found = audit.leftOut.value;
  if (!found) return null;
  const { known, others, unreadable } = found;
  const parts = [
    known > 0 ? text.known(whole(known)) : '',
    others.length > 0 ? text.others(whole(others.length)) : '',
    unreadable.length > 0 ? text.unreadable(whole(unreadable.length)) : '',
  ].filter((part) => part !== '');
  return (
    <p class="quiet" id="audit-left-out" title={[...others, ...unreadable].slice(0, 20).join('\n')}>
      {text.sentence(parts.join(', '))}
    </p>
  );
}
