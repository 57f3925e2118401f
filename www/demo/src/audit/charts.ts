import { type CategoryCount, unsafeShare } from './tally.js';

/** Words in the charts. */
export interface ChartTexts {
  /** Above the counts. */
  pictures: string;
  /** Above the shares. */
  shareUnsafe: string;
  /** What the charts show, for those who do not see them. */
  picturesLabel: string;
  shareLabel: string;
  /** A number from 0 to 1. */
  percent: (share: number) => string;
}

/** The charts of an audit, ready to be shown or written into a report. */
export interface Charts {
  counts: SVGElement;
  shares: SVGElement;
}

/** Room for names, in pixels, and how many letters fit into it; narrow charts name ids alone. */
const WIDE = { left: 242, letters: 33 };
const MEDIUM = { left: 178, letters: 24 };
const NARROW = { left: 44, letters: 0 };
/** Room for labels, in pixels. */
const RIGHT = 44;
const BAND = 26;
const TOP = 8;
const BOTTOM = 44;

/**
 * Draws how many pictures there are of each category, and which share of them is unsafe, as audits of
 * data sets are shown in LlavaGuard's paper. Colours are the style sheet's `--safe` and `--unsafe`.
 *
 * The plotting library comes with the first chart that is drawn.
 */
export async function drawCharts(
  categories: readonly CategoryCount[],
  texts: ChartTexts,
  width: number,
): Promise<Charts> {
  const { barX, plot, text } = await import('@observablehq/plot');
  const narrow = width < 420;
  const { left, letters } = narrow ? NARROW : width < 500 ? MEDIUM : WIDE;
  // Narrow ones name categories by their id, e.g. O6.
  const label = ({ id, name }: CategoryCount) => (narrow ? id : shorten(name, letters));
  const order = categories.map(label);
  const common = {
    // A page of its own, so that the library's style element is never the visible page's: the content
    // security policy would refuse it. Our style sheet says the same.
    document: document.implementation.createHTMLDocument(''),
    width,
    height: categories.length * BAND + TOP + BOTTOM,
    marginTop: TOP,
    marginBottom: BOTTOM,
    marginLeft: left,
    marginRight: RIGHT,
    y: { domain: order, label: null, tickSize: 0 },
    style: { fontSize: '12px' },
  };
  const parts = categories.flatMap((category) => [
    { category: label(category), count: category.unsafe, fill: 'var(--unsafe)' },
    { category: label(category), count: category.safe, fill: 'var(--safe)' },
  ]);
  const counts = plot({
    ...common,
    ariaLabel: texts.picturesLabel,
    x: {
      label: texts.pictures,
      grid: true,
      // Not from 0 to 0 where no picture fits a category: every bar would be as long as the scale.
      domain: [0, Math.max(1, ...categories.map(({ safe, unsafe }) => safe + unsafe))],
      ticks: narrow ? 3 : 5,
      tickFormat: wholeOnly,
    },
    marks: [
      barX(parts, { y: 'category', x: 'count', fill: 'fill', insetTop: 1, insetBottom: 1 }),
      text(categories, {
        y: label,
        x: ({ safe, unsafe }: CategoryCount) => safe + unsafe,
        text: ({ safe, unsafe }: CategoryCount) => String(safe + unsafe),
        textAnchor: 'start',
        dx: 5,
      }),
    ],
  });
  const shares = plot({
    ...common,
    ariaLabel: texts.shareLabel,
    x: {
      label: texts.shareUnsafe,
      grid: true,
      domain: [0, 1],
      ticks: narrow ? [0, 0.5, 1] : 5,
      tickFormat: texts.percent,
    },
    marks: [
      barX(categories, {
        y: label,
        x: unsafeShare,
        fill: 'var(--unsafe)',
        insetTop: 1,
        insetBottom: 1,
      }),
      text(categories, {
        y: label,
        x: unsafeShare,
        text: (category: CategoryCount) =>
          category.safe + category.unsafe === 0 ? '–' : texts.percent(unsafeShare(category)),
        textAnchor: 'start',
        dx: 5,
      }),
    ],
  });
  return { counts: finished(counts), shares: finished(shares) };
}

function wholeOnly(count: number): string {
  return Number.isInteger(count) ? String(count) : '';
}

function shorten(name: string, letters: number): string {
  return name.length > letters ? `${name.slice(0, letters - 1).trimEnd()}…` : name;
}

/** As our style sheet has it, and one picture with one name for who does not see it. */
function finished(drawn: SVGElement | HTMLElement): SVGElement {
  if (!(drawn instanceof SVGElement)) throw new Error('a chart without a legend is an SVG');
  drawn.querySelector('style')?.remove();
  for (const part of drawn.querySelectorAll('g[aria-label]')) part.removeAttribute('aria-label');
  drawn.setAttribute('class', 'chart');
  drawn.setAttribute('role', 'img');
  return drawn;
}
