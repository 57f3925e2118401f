import { strings } from '../strings/index.js';

/** Which keys work in the table. */
export function Keys() {
  const { keys: text } = strings.value.audit;
  return (
    <div class="audit-keys" id="audit-keys">
      <h3>{text.heading}</h3>
      <dl>
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
    </div>
  );
}
