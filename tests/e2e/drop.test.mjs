import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { auditIs } from './audit-page.mjs';
import { demoModel, photo } from './materials.mjs';
import { assessed, goTo, PISTOL, withPage } from './page.mjs';

/** @typedef {import('./browser.mjs').Page} Page */

/** More than a folder's reader gives at once. */
const MANY = 120;

/**
 * Drops files and folders of the disk on the page, as the browser does it for a file manager.
 * @param {Page} page
 * @param {string[]} files paths
 */
async function dropFromDisk(page, files) {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files, dragOperationsMask: 1 };
  const send = (/** @type {'dragEnter' | 'dragOver' | 'drop'} */ type) =>
    session.send('Input.dispatchDragEvent', { type, x: 200, y: 300, data });
  await send('dragEnter');
  // Over and over, as browsers do it.
  const hint = page.getByText('Drop it anywhere');
  do await send('dragOver');
  while (!(await hint.isVisible()));
  await send('drop');
  await session.detach();
}

describe('dropping from the disk', () => {
  const given = withPage();
  let folder = '';

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'llavaguard-drop-'));
    await mkdir(join(folder, 'album', 'inner'), { recursive: true });
    await mkdir(join(folder, 'album', 'many'));
    await writeFile(join(folder, 'album', PISTOL), photo(PISTOL));
    await writeFile(join(folder, 'album', 'inner', 'shirt.jpg'), photo('clothing-shirt.jpg'));
    await writeFile(join(folder, 'album', 'inner', 'notes.txt'), 'no picture');
    // Cut short, so that each is a row at once.
    const cut = photo(PISTOL).subarray(0, 600);
    for (let at = 0; at < MANY; at++) {
      await writeFile(join(folder, 'album', 'many', `${at}.jpg`), cut);
    }
    await writeFile(join(folder, 'model.gguf'), demoModel());
  });

  after(() => rm(folder, { recursive: true }));

  test('a file is judged', async () => {
    const { page } = given;
    const found = await assessed(page, () => dropFromDisk(page, [join(folder, 'album', PISTOL)]));
    assert.equal(found.rating, 'Unsafe');
  });

  test('several files are audited', async () => {
    const { page } = given;
    await dropFromDisk(page, [
      join(folder, 'album', PISTOL),
      join(folder, 'album', 'inner', 'shirt.jpg'),
    ]);
    await page.locator('#audit').waitFor();
    await auditIs(page, 'idle');
    assert.match(await page.locator('#audit-status').innerText(), /^2 of 2 pictures judged/);
    await page.locator('#audit-clear').click();
    await page.locator('#audit-clear-yes').click();
    await goTo(page, 'Judge');
  });

  test('a model is loaded', async () => {
    const { page } = given;
    await dropFromDisk(page, [join(folder, 'model.gguf')]);
    await goTo(page, 'Models');
    await page.locator('#model-source').filter({ hasText: 'Read from your file' }).waitFor();
    // Its handle is remembered, so that it need not be looked for again.
    const { handle } = await page.evaluate(async () => {
      const opening = indexedDB.open('llavaguard-files');
      await new Promise((resolve) => opening.addEventListener('success', resolve));
      const store = opening.result.transaction('llavaguard-files').objectStore('llavaguard-files');
      const asking = store.get('model');
      await new Promise((resolve) => asking.addEventListener('success', resolve));
      opening.result.close();
      return { handle: asking.result?.name };
    });
    assert.equal(handle, 'model.gguf');
    await page.reload();
    const again = page.getByRole('button', { name: 'Use model.gguf again' });
    await again.click();
    await page.locator('#model-source').filter({ hasText: 'Read from your file' }).waitFor();
    await goTo(page, 'Judge');
  });

  test('a folder is audited, with the folders in it and what they hold beyond a hundred', async () => {
    const { page } = given;
    await dropFromDisk(page, [join(folder, 'album')]);
    await page.locator('#audit').waitFor();
    await auditIs(page, 'idle');
    assert.match(
      await page.locator('#audit-status').innerText(),
      new RegExp(`^${MANY + 2} of ${MANY + 2} pictures judged`),
    );
    assert.match(await page.locator('#audit-left-out').innerText(), /one is no picture/);
    await page.locator('#audit-text').fill('shirt');
    const row = page.locator('.audit-grid-body .audit-row');
    assert.match(await row.innerText(), /shirt\.jpg\s+album\/inner/);
    assert.equal(await row.getAttribute('data-state'), 'judged');
    await page.locator('#audit-text').fill(PISTOL);
    assert.equal(await row.getAttribute('data-rating'), 'Unsafe');
  });
});
