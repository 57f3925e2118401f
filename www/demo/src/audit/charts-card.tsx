import { useEffect, useRef, useState } from 'preact/hooks';

import { percent, whole } from '../shared/format.js';
import { language, strings } from '../strings/index.js';
import { audit } from './audit-store.js';
import { type Charts, drawCharts } from './charts.js';
import { type CategoryCount, unsafeShare } from './tally.js';

/** While an audit runs its charts are drawn anew no more often than this, in milliseconds. */
const PAUSE = 600;

/** Pictures of each category and the share of them that is unsafe, as charts and as a table. */
export function ChartsCard() {
  const { audit: texts, verdict } = strings.value;
  const { charts: text } = texts;
  const { categories } = audit.tally.value;
  const none = categories.find(({ id }) => id === 'NA');
  if (categories.length === 0) return null;
  return (
    <section class="card" id="audit-charts" aria-labelledby="audit-charts-heading">
      <div class="card-head">
        <h2 id="audit-charts-heading">{text.heading}</h2>
        <p class="audit-legend">
          <span data-rating="Unsafe">{verdict.ratings.Unsafe}</span>
          <span data-rating="Safe">{verdict.ratings.Safe}</span>
        </p>
      </div>
      <Drawn categories={charted(categories)} />
      {none && <p class="quiet">{text.none(whole(none.safe + none.unsafe), whole(none.unsafe))}</p>}
      <details>
        <summary>{text.table}</summary>
        <div class="audit-scroll" tabIndex={0} role="group" aria-label={text.table}>
          <table class="audit-counts">
            <thead>
              <tr>
                <th scope="col">{texts.columns.category}</th>
                <th scope="col">{text.count}</th>
                <th scope="col">{text.unsafe}</th>
                <th scope="col">{text.share}</th>
              </tr>
            </thead>
            <tbody>
              {categories.map((category) => (
                <tr key={category.id}>
                  <th scope="row">{category.name}</th>
                  <td>{whole(category.safe + category.unsafe)}</td>
                  <td>{whole(category.unsafe)}</td>
                  <td>
                    {category.safe + category.unsafe === 0 ? '–' : percent(unsafeShare(category))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </section>
  );
}

/** What the charts show: where no category applies there would often be a bar that dwarfs all others. */
export function charted(categories: readonly CategoryCount[]): CategoryCount[] {
  return categories.filter(({ id }) => id !== 'NA');
}

function Drawn({ categories }: { categories: CategoryCount[] }) {
  const { charts: text } = strings.value.audit;
  const place = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const [charts, setCharts] = useState<Charts>();
  const [broken, setBroken] = useState(false);
  const drawnAt = useRef(0);
  const wanted = JSON.stringify([categories, language.value, width]);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      setWidth(Math.round(entry?.contentRect.width ?? 0));
    });
    if (place.current) observer.observe(place.current);
    return () => {
      observer.disconnect();
    };
  }, []);
  useEffect(() => {
    if (width === 0) return undefined;
    const timer = setTimeout(
      () => {
        drawnAt.current = performance.now();
        drawCharts(categories, { ...text, percent }, width >= 640 ? (width - 24) / 2 : width).then(
          setCharts,
          () => {
            setBroken(true);
          },
        );
      },
      Math.max(0, drawnAt.current + PAUSE - performance.now()),
    );
    return () => {
      clearTimeout(timer);
    };
  }, [wanted]);
  useEffect(() => {
    if (charts) place.current?.replaceChildren(charts.counts, charts.shares);
  }, [charts]);
  return (
    <>
      <div class="audit-drawn" ref={place} />
      {broken && <p class="error">{text.failed}</p>}
    </>
  );
}
