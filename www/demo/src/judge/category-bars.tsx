import type { CategoryProbability } from 'llavaguard';

import { percent } from '../shared/format.js';
import { strings } from '../strings/index.js';

/** How likely each category is, as bars. */
export function CategoryBars({ probabilities }: { probabilities: CategoryProbability[] }) {
  const { verdict: text } = strings.value;
  return (
    <details class="fold" id="categories-fold">
      <summary>{text.categories}</summary>
      <table class="category-bars">
        <thead class="visually-hidden">
          <tr>
            <th scope="col">{text.category}</th>
            <th scope="col">{text.share}</th>
            <th scope="col">{text.probabilityShort}</th>
          </tr>
        </thead>
        <tbody>
          {probabilities.map(({ id, name, probability }) => (
            <tr key={id}>
              <th scope="row" lang="en">
                {name}
              </th>
              <td class="bar-cell" aria-hidden="true">
                <svg viewBox="0 0 100 1" preserveAspectRatio="none">
                  <rect class="track" width={100} height={1} />
                  <rect class="fill" width={100 * probability} height={1} />
                </svg>
              </td>
              <td class="number">{percent(probability)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
