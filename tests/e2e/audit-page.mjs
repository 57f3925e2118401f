/** The audit view in a browser, as tests and the soak use it. */

/** @typedef {import('./browser.mjs').Page} Page */

/**
 * Goes to the audit view, with the browser's plain folder picker, which a test can answer.
 * @param {Page} page
 */
export async function goToAudit(page) {
  await page.evaluate(() => {
    Reflect.deleteProperty(globalThis, 'showDirectoryPicker');
    location.hash = '#/audit';
  });
  await page.locator('#audit').waitFor();
}

/**
 * Waits until an audit is in a state.
 * @param {Page} page
 * @param {'idle' | 'running' | 'paused' | 'stopped' | 'empty'} state
 * @param {number} [timeout] milliseconds
 */
export async function auditIs(page, state, timeout) {
  await page
    .locator(`#audit[data-state="${state}"]`)
    .waitFor(timeout === undefined ? {} : { timeout });
}

/**
 * Takes what a button has the browser save.
 * @param {Page} page
 * @param {string} button
 */
export async function saved(page, button) {
  const waiting = page.waitForEvent('download');
  await page.locator(button).click();
  const download = await waiting;
  const chunks = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk);
  return { name: download.suggestedFilename(), text: Buffer.concat(chunks).toString() };
}
