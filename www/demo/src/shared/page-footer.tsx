import { RequestCounter } from './request-counter.js';

/** What holds of every view. */
export function PageFooter() {
  return (
    <footer class="page-footer">
      <RequestCounter />
    </footer>
  );
}
