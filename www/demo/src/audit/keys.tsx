import { strings } from '../strings/index.js';

/** On a phone, where there may be none, they do not take the room. */
const wide = matchMedia('(width >= 40rem)').matches;

/** Which keys work in the table. */
export function Keys() {
  const { keys: text } = strings.value.audit;
  return (
    <details class="audit-keys" open={wide}>
      <summary>{text.heading}</summary>
      <dl id="audit-keys">
        {text.list.map(([key, does]) => (
          <div key={key}>
            <dt>
              {key.split(' ').map((one) => (
                <kbd key={one}>{one}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
