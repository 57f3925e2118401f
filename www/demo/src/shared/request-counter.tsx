import { strings } from '../strings/index.js';
import { counting, requestCount, requests } from './requests.js';

/** How many requests were made since the page was ready, and to which addresses. */
export function RequestCounter() {
  const { requests: text } = strings.value;
  return (
    <div class="requests">
      <p>
        <span id="request-count" data-count={counting.value ? requestCount.value : undefined}>
          {counting.value ? text.count(requestCount.value) : text.loading}
        </span>
      </p>
      {requestCount.value > 0 && (
        <details>
          <summary>{text.which}</summary>
          <ul id="request-list">
            {[...requests.value].map(([address, count]) => (
              <li key={address}>
                {address}
                {count > 1 ? ` × ${count}` : ''}
              </li>
            ))}
          </ul>
        </details>
      )}
      <p class="quiet">{text.means}</p>
    </div>
  );
}
