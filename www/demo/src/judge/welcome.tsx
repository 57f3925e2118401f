import { strings } from '../strings/index.js';

/** What this page is, what its model knows, and what becomes of a photo. */
export function Welcome() {
  const { welcome } = strings.value;
  return (
    <section class="welcome" aria-label={welcome.label}>
      <ul>
        {welcome.lines.map(([lead, rest]) => (
          <li key={lead}>
            <strong>{lead}</strong> {rest}
          </li>
        ))}
      </ul>
    </section>
  );
}
