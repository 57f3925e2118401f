import { readFileSync } from 'node:fs';

const SOURCE = readFileSync(
  new URL('../../www/node_modules/axe-core/axe.min.js', import.meta.url),
  'utf8',
);

/**
 * What axe finds wrong with a page as it stands: a line for each element, none where all is well.
 *
 * @param {import('./browser.mjs').Page} page
 * @returns {Promise<string[]>}
 */
export async function violations(page) {
  // By the browser's own debugger, so that the page's content security policy stays as it is.
  if (!(await page.evaluate('"axe" in globalThis'))) await page.evaluate(SOURCE);
  /** @type {import('../../www/node_modules/axe-core/axe.js').AxeResults} */
  const results = await page.evaluate('axe.run(document, { resultTypes: ["violations"] })');
  return results.violations.flatMap(({ id, help, nodes }) =>
    nodes.map(
      ({ target, any }) => `${id}: ${help} (${target.join(' ')}; ${any[0]?.message ?? ''})`,
    ),
  );
}
