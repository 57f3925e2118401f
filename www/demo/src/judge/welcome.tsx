import { signal } from '@preact/signals';

import { counting, requestCount } from '../shared/requests.js';
import { strings } from '../strings/index.js';

const KEY = 'llavaguard-welcomed';

const open = signal(localStorage.getItem(KEY) === null);

/** What this page is, what its model knows, and what becomes of a photo; until it was read. */
export function Welcome() {
  const { welcome, requests } = strings.value;
  if (!open.value) {
    return (
      <button
        class="welcome-again"
        id="welcome-open"
        type="button"
        onClick={() => {
          open.value = true;
        }}
      >
        {welcome.open}
      </button>
    );
  }
  return (
    <section class="welcome" id="welcome" aria-labelledby="welcome-heading">
      <h2 id="welcome-heading">{welcome.heading}</h2>
      <ul>
        {welcome.lines.map(([lead, rest]) => (
          <li key={lead}>
            <strong>{lead}</strong> {rest}
          </li>
        ))}
      </ul>
      <div class="welcome-foot">
        <span class="count">
          {counting.value ? requests.count(requestCount.value) : requests.loading}
        </span>
        <button
          class="button small"
          id="welcome-close"
          type="button"
          onClick={() => {
            open.value = false;
            localStorage.setItem(KEY, 'yes');
          }}
        >
          {welcome.close}
        </button>
      </div>
    </section>
  );
}
