import type { CategoryProbability } from 'llavaguard';
import { useState } from 'preact/hooks';

import { percent } from '../shared/format.js';
import { strings } from '../strings/index.js';

/** Less probable categories are shown only when they are asked for. */
const LIKELY = 0.005;

/** How likely each category is, as bars. */
export function CategoryBars({ probabilities }: { probabilities: CategoryProbability[] }) {
  const { verdict: text } = strings.value;
  const [all, setAll] = useState(false);
  const shown = all ? probabilities : probabilities.filter((each) => each.probability >= LIKELY);
  return (
    <div class="category-bars" id="category-bars">
      <h3 id="categories-heading">{text.categories}</h3>
      <table aria-labelledby="categories-heading">
        <thead class="visually-hidden">
          <tr>
            <th scope="col">{text.category}</th>
            <th scope="col">{text.probabilityShort}</th>
          </tr>
        </thead>
        <tbody>
          {shown.map(({ id, name, probability }) => (
            <tr key={id}>
              <th scope="row" lang="en">
                {name}
              </th>
              <td>
                <span class="bar-and-number">
                  <svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
                    <rect class="track" width={100} height={1} />
                    <rect class="fill" width={100 * probability} height={1} />
                  </svg>
                  <span class="number">{percent(probability)}</span>
                </span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <button
        class="add"
        id="all-categories"
        type="button"
        aria-expanded={all}
        onClick={() => {
          setAll(!all);
        }}
      >
        {all ? text.likelyOnly : text.allCategories(probabilities.length)}
      </button>
    </div>
  );
}
