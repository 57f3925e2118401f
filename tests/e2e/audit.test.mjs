import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { auditIs, goToAudit, saved } from './audit-page.mjs';
import { violations } from './axe.mjs';
import { launch, openDemo, serve } from './browser.mjs';

import { expected, photo } from './materials.mjs';
import { makePhotos } from './photos.mjs';
import { soak } from './soak.mjs';

/** @typedef {import('./browser.mjs').Page} Page */

const NAMES = Object.keys(expected()).sort();
const PISTOL = 'firearm-pistol.jpg';
const BROKEN = 'broken.jpg';

/**
 * Texts of a column, row by row as they are shown.
 * @param {Page} page
 * @param {number} column from 1
 */
async function column(page, column) {
  // What a key has changed is shown in the next frame.
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
  const rows = await page.locator('.audit-grid-body .audit-row').evaluateAll(
    (rows, column) =>
      rows
        .map((row) => ({
          at: Number(row.getAttribute('aria-rowindex')),
          text: row.querySelector(`[role="gridcell"]:nth-child(${column})`)?.textContent ?? '',
        }))
        .sort((a, b) => a.at - b.at)
        .map(({ text }) => text),
    column,
  );
  return rows;
}

/**
 * The row of a picture.
 * @param {Page} page
 * @param {string} name
 */
function rowOf(page, name) {
  return page.locator('.audit-grid-body .audit-row').filter({ hasText: name });
}

describe('the audit view', () => {
  /** @type {import('./browser.mjs').Browser} */
  let browser;
  /** @type {Awaited<ReturnType<typeof serve>>} */
  let server;
  /** @type {Page} */
  let page;
  /** @type {string} */
  let folder;
  /** @type {string[]} */
  const served = [];
  /** @type {string[]} */
  const complaints = [];

  before(async () => {
    browser = await launch();
    server = await serve({ onRequest: (address) => served.push(address) });
    // Without motion, so that axe never meets a colour half-way.
    page = await openDemo(browser, server.url, {
      viewport: { width: 1280, height: 900 },
      reducedMotion: 'reduce',
    });
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    folder = await mkdtemp(join(tmpdir(), 'llavaguard-audit-'));
    await mkdir(join(folder, 'album', 'more'), { recursive: true });
    for (const name of NAMES) await writeFile(join(folder, 'album', name), photo(name));
    await writeFile(join(folder, 'album', BROKEN), photo(PISTOL).subarray(0, 500));
    await writeFile(join(folder, 'album', 'more', '=cmd|x.jpg'), photo('clothing-shirt.jpg'));
    await writeFile(join(folder, 'album', 'notes.txt'), 'no picture');
    await goToAudit(page);
  });

  after(async () => {
    await browser.close();
    await server.close();
    await rm(folder, { recursive: true });
  });

  test('begins with what it is for, without accessibility faults', async () => {
    assert.equal(await page.locator('#audit').getAttribute('data-state'), 'empty');
    assert.deepEqual(await violations(page), []);
  });

  test('judges a folder as the demo model is known to', async () => {
    await page.locator('#audit-detail').selectOption('auto');
    await page.locator('#audit-folder').setInputFiles(join(folder, 'album'));
    await auditIs(page, 'running');
    assert.deepEqual(await violations(page), []);
    await auditIs(page, 'idle');
    assert.match(await page.locator('#audit-status').innerText(), /^14 of 14 pictures judged/);
    assert.match(await page.locator('#audit-left-out').innerText(), /one is no picture/);
    await page.locator('#audit-sort').selectOption('path');
    for (const name of NAMES) {
      const wanted = expected()[name]?.['default'];
      assert.equal(
        await rowOf(page, `${name}`).locator('.badge').first().innerText(),
        wanted?.rating,
      );
    }
  });

  test('shows small pictures of the rows in sight, and of no others', async () => {
    const shown = page.locator('.audit-thumbnail img');
    await shown.nth(8).waitFor();
    assert.ok((await shown.count()) <= 14);
    const width = await shown
      .first()
      .evaluate((image) => /** @type {HTMLImageElement} */ (image).naturalWidth);
    assert.ok(width > 0 && width <= 128, `${width}`);
  });

  test('a file that cannot be judged is a row with its error, never Safe, and can be tried again', async () => {
    const row = rowOf(page, BROKEN);
    assert.equal(await row.getAttribute('data-state'), 'failed');
    assert.equal(await row.getAttribute('data-rating'), null);
    assert.equal(await row.locator('.badge').count(), 0);
    assert.match(await row.innerText(), /Not judged/);
    await page.locator('.audit-state[data-state="failed"]').click();
    assert.equal((await column(page, 1)).length, 1);
    await row.click();
    assert.match(
      (await page.locator('#audit-details .error').getAttribute('data-code')) ?? '',
      /^image\./,
    );
    assert.deepEqual(await violations(page), []);
    await page.locator('#audit-failed button').click();
    await auditIs(page, 'idle');
    assert.equal(await row.getAttribute('data-state'), 'failed');
    await page.locator('#audit-show-all').click();
  });

  test('is reviewed by keyboard', async () => {
    await page.locator('#audit-sort').selectOption('path');
    await page.locator('#audit-grid').focus();
    await page.keyboard.press('Home');
    // broken.jpg comes first; nothing is said of it, so it is gone past.
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('c');
    await page.keyboard.press('o');
    const reviews = (await column(page, 5)).slice(0, 4);
    assert.deepEqual(reviews, ['', 'Confirmed', 'Overruled', '']);
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('n');
    await page.keyboard.type('a costume');
    await page.keyboard.press('Escape');
    assert.ok(
      await page.locator('#audit-grid').evaluate((grid) => grid === document.activeElement),
    );
    assert.match((await column(page, 5))[2] ?? '', /with a note/);
    const active = await page.locator('#audit-grid').getAttribute('aria-activedescendant');
    assert.equal(await page.locator(`#${active}`).getAttribute('aria-rowindex'), '4');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('u');
    assert.equal((await column(page, 5))[1], '');
    await page.keyboard.press('End');
    await page.keyboard.press('c');
    assert.equal((await column(page, 5)).at(-1), 'Confirmed');
    assert.deepEqual(await violations(page), []);
  });

  test('filters and orders by review, name, category and probability', async () => {
    await page.locator('#audit-review').selectOption('overruled');
    assert.equal((await column(page, 1)).length, 1);
    await page.locator('#audit-show-all').click();
    await page.locator('#audit-text').fill('FIREARM');
    assert.equal(
      (await column(page, 1)).length,
      NAMES.filter((name) => /firearm/.test(name)).length,
    );
    await page.locator('#audit-text').fill('');
    await page.locator('#audit-category').selectOption('O9');
    assert.ok((await column(page, 4)).every((text) => text.startsWith('O9')));
    await page.locator('#audit-category').selectOption('');
    await page.getByRole('columnheader', { name: 'P(Unsafe)' }).getByRole('button').click();
    const probabilities = (await column(page, 3)).slice(0, -1).map((text) => parseFloat(text));
    assert.deepEqual(
      probabilities,
      [...probabilities].sort((a, b) => a - b),
    );
    assert.equal(
      await page.getByRole('columnheader', { name: 'P(Unsafe)' }).getAttribute('aria-sort'),
      'ascending',
    );
    assert.equal((await column(page, 3)).at(-1), '', 'what has none comes last');
  });

  test('charts say how many pictures a category has and which share is unsafe', async () => {
    const charts = page.locator('#audit-charts svg.chart');
    await charts.nth(1).waitFor();
    const texts = await charts.first().locator('text').allTextContents();
    assert.ok(texts.some((text) => text.startsWith('O6')));
    assert.ok((await charts.first().locator('rect').count()) >= 2);
    assert.equal(await page.locator('#audit-charts style').count(), 0);
    await page.locator('#audit-charts summary').click();
    const row = page.locator('.audit-counts tr').filter({ hasText: 'O6' });
    const wanted = Object.values(expected()).filter(
      (verdicts) => verdicts['default']?.category_id === 'O6',
    ).length;
    assert.equal(await row.locator('td').first().innerText(), String(wanted));
    assert.deepEqual(await violations(page), []);
  });

  test('exports CSV that no spreadsheet runs, and JSON lines', async () => {
    const csv = await saved(page, '#audit-export-csv');
    assert.match(csv.name, /^llavaguard-audit-\d{4}-\d\d-\d\d\.csv$/);
    assert.equal(csv.text.trimEnd().split('\r\n').length, 15);
    assert.ok(!/(^|,)"?[=+@-]/m.test(csv.text));
    const jsonl = await saved(page, '#audit-export-jsonl');
    const records = jsonl.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.equal(records.length, 14);
    const pistol = records.find(({ image }) => image === `album/${PISTOL}`);
    assert.equal(pistol.rating, 'Unsafe');
    assert.equal(pistol.category.id, 'O6');
    assert.equal(pistol.current, true);
    const broken = records.find(({ image }) => image === `album/${BROKEN}`);
    assert.equal(broken.rating, null);
    assert.match(broken.error.code, /^image\./);
    assert.equal(records.filter(({ review }) => review?.state === 'overruled').length, 1);
    assert.equal(records.find(({ review }) => review?.note).review.note, 'a costume');
  });

  test('the report stands alone: no network, no script, every picture within it', async () => {
    const { text } = await saved(page, '#audit-export-report');
    const context = await browser.newContext({ offline: true });
    const reading = await context.newPage();
    /** @type {string[]} */
    const faults = [];
    reading.on('console', (message) => faults.push(message.text()));
    await writeFile(join(folder, 'report.html'), text);
    await reading.goto(`file://${folder}/report.html`);
    assert.equal(await reading.locator('table.pictures tbody tr').count(), 14);
    const loaded = await reading
      .locator('table.pictures img')
      .evaluateAll(
        (all) =>
          all.filter((image) => /** @type {HTMLImageElement} */ (image).naturalWidth > 0).length,
      );
    assert.ok(loaded >= 13, `${loaded}`);
    assert.equal(await reading.locator('svg.chart').count(), 2);
    assert.equal(await reading.locator('script').count(), 0);
    assert.match(await reading.locator('body').innerText(), /album\/more\/=cmd\|x\.jpg/);
    assert.match(await reading.locator('body').innerText(), /a costume/);
    assert.deepEqual(faults, []);
    assert.deepEqual(await violations(reading), []);
    await context.close();
  });

  test('pauses at once and goes on, and tells the time left', async () => {
    // The report was saved, so nothing would be lost; then a review would be.
    await page.locator('#audit-grid').press('c');
    await page.locator('#audit-clear').click();
    await page.keyboard.press('Enter');
    assert.equal(await page.locator(':focus').getAttribute('id'), 'audit-clear');
    await page.keyboard.press('Enter');
    await page.locator('#audit-clear-yes').click();
    await auditIs(page, 'empty');
    await page.locator('#audit-detail').selectOption('high');
    await page.locator('#audit-folder').setInputFiles(join(folder, 'album'));
    await page.locator('#audit-pause').click();
    await auditIs(page, 'paused');
    const before = await page.locator('#audit-status').getAttribute('data-done');
    await page.waitForTimeout(1_500);
    assert.equal(await page.locator('#audit-status').getAttribute('data-done'), before);
    assert.deepEqual(await violations(page), []);
    await page.locator('#audit-resume').click();
    await page
      .locator('#audit-status')
      .filter({ hasText: /About \d+ s left/ })
      .waitFor();
    await auditIs(page, 'idle');
    assert.match(await page.locator('#audit-status').innerText(), /^14 of 14/);
  });

  test('goes on with another build where that is chosen meanwhile', async () => {
    await page.locator('#audit-clear').click();
    await page.locator('#audit-clear-yes').click();
    await page.locator('#audit-folder').setInputFiles(join(folder, 'album'));
    await auditIs(page, 'running');
    for (const build of ['simd', 'relaxed']) {
      await page.evaluate(() => {
        location.hash = '#/models';
      });
      await page.locator(`input[name="build"][value="${build}"]`).check();
      await page.locator(`#model-status[data-build="${build}"]`).waitFor();
    }
    await page.evaluate(() => {
      location.hash = '#/audit';
    });
    await auditIs(page, 'idle');
    assert.match(await page.locator('#audit-status').innerText(), /^14 of 14/);
    assert.equal(await page.locator('#audit-error').count(), 0);
    assert.equal((await column(page, 2)).filter((text) => text === 'Not judged').length, 1);
  });

  test('rows of another policy are marked, and judged anew when asked', async () => {
    await page.evaluate(() => {
      location.hash = '#/judge';
    });
    await allowWeapons(page);
    await page.evaluate(() => {
      location.hash = '#/audit';
    });
    const stale = page.locator('#audit-stale');
    await stale.waitFor();
    assert.match(await rowOf(page, PISTOL).first().innerText(), /other policy/);
    assert.equal(await rowOf(page, PISTOL).first().getAttribute('data-rating'), 'Unsafe');
    assert.deepEqual(await violations(page), []);
    await stale.locator('button').click();
    await auditIs(page, 'running');
    await auditIs(page, 'idle');
    await stale.waitFor({ state: 'detached' });
    assert.equal(await rowOf(page, PISTOL).first().getAttribute('data-rating'), 'Safe');
  });

  test('a threshold decides at once, without judging anew', async () => {
    const row = rowOf(page, 'fire-smoke-column.jpg');
    const before = await row.getAttribute('data-rating');
    assert.equal(before, 'Unsafe');
    await page.evaluate(() => {
      location.hash = '#/judge';
    });
    await page.locator('#category-O9 button').first().click();
    await page.locator('#threshold-O9').fill('99');
    await page.evaluate(() => {
      location.hash = '#/audit';
    });
    await page.locator('#audit').waitFor();
    assert.equal(await row.getAttribute('data-rating'), 'Safe');
    assert.equal(await page.locator('#audit-stale').count(), 0);
  });

  test('takes a folder from the folder picker, and dropped pictures', async () => {
    await page.locator('#audit-clear').click();
    await page.locator('#audit-clear-yes').click();
    await page.evaluate(
      async ([name, base64]) => {
        const root = await navigator.storage.getDirectory();
        const picked = await root.getDirectoryHandle('picked', { create: true });
        const inner = await picked.getDirectoryHandle('inner', { create: true });
        const bytes = Uint8Array.from(atob(base64 ?? ''), (char) => char.charCodeAt(0));
        for (const [folder, file] of /** @type {const} */ ([
          [picked, name ?? ''],
          [inner, 'second.jpg'],
          [inner, 'readme.md'],
        ])) {
          const handle = await folder.getFileHandle(file, { create: true });
          const writing = await handle.createWritable();
          await writing.write(bytes);
          await writing.close();
        }
        Object.assign(globalThis, { showDirectoryPicker: () => Promise.resolve(picked) });
        // The view asks what the browser has when it is shown.
        location.hash = '#/judge';
      },
      [PISTOL, photo(PISTOL).toString('base64')],
    );
    await page.locator('#audit').waitFor({ state: 'detached' });
    await page.evaluate(() => {
      location.hash = '#/audit';
    });
    await page.getByText('Choose a folder…').click();
    await auditIs(page, 'idle');
    assert.deepEqual((await column(page, 1)).sort(), [`${PISTOL}picked`, 'second.jpgpicked/inner']);
    assert.match(await page.locator('#audit-left-out').innerText(), /one is no picture/);

    const dataTransfer = await page.evaluateHandle((base64) => {
      const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], 'dropped.jpg', { type: 'image/jpeg' }));
      return transfer;
    }, photo('clothing-shoes.jpg').toString('base64'));
    await page.dispatchEvent('#audit', 'drop', { dataTransfer });
    await rowOf(page, 'dropped.jpg').waitFor();
    await auditIs(page, 'idle');
    assert.equal((await column(page, 1)).length, 3);
  });

  test('asked for no picture over the network, and complained of nothing', () => {
    assert.deepEqual(complaints, []);
    const asked = served.filter((address) => /album|clothing-shoes|broken|second/.test(address));
    assert.deepEqual(asked, []);
  });

  test('fits a phone, by touch, in the dark, with reduced motion', async () => {
    const phone = await openDemo(browser, server.url, {
      viewport: { width: 360, height: 740 },
      colorScheme: 'dark',
      reducedMotion: 'reduce',
      hasTouch: true,
    });
    await goToAudit(phone);
    const fits = () => phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
    assert.deepEqual(await violations(phone), []);
    assert.ok(await fits());
    await phone.locator('#audit-folder').setInputFiles(join(folder, 'album'));
    await auditIs(phone, 'idle');
    assert.ok(await fits());
    await rowOf(phone, PISTOL).first().tap();
    // The table's place changes as the picture opens: the row that was touched is the one that opens.
    assert.match(await phone.locator('.audit-path').innerText(), new RegExp(PISTOL));
    await phone.locator('#audit-reveal').tap();
    await phone.locator('.audit-large[data-blurred="false"]').waitFor();
    await phone.locator('#audit-overrule').tap();
    await phone.locator('#audit-reviewed').filter({ hasText: 'counts as Safe' }).waitFor();
    assert.ok(await fits());
    assert.deepEqual(await violations(phone), []);
    // The way back leaves the table alone with the page.
    await phone.getByRole('button', { name: 'To the table' }).tap();
    await phone.locator('.audit-table[data-open="false"]').waitFor();
    await phone.context().close();
  });

  test('speaks German when asked, and at the next visit', async () => {
    const german = await openDemo(browser, server.url, { reducedMotion: 'reduce' });
    await goToAudit(german);
    await german.getByLabel('Language').selectOption('de');
    await german.getByRole('heading', { name: 'Einen Ordner prüfen' }).waitFor();
    assert.equal(await german.evaluate(() => document.documentElement.lang), 'de');
    await german.locator('#audit-folder').setInputFiles(join(folder, 'album', 'more'));
    await auditIs(german, 'idle');
    assert.match(await german.locator('#audit-status').innerText(), /1 von 1 Bildern beurteilt/);
    assert.equal(await german.locator('.audit-grid-body .badge').innerText(), 'Unbedenklich');
    // Its picture fits no category, so no bar has a length.
    const charts = german.locator('#audit-charts svg.chart');
    await charts.nth(1).waitFor();
    assert.match(await charts.first().innerHTML(), /Bilder/);
    const widths = await charts
      .locator('rect')
      .evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().width));
    assert.ok(Math.max(0, ...widths) < 1, widths.join());
    assert.deepEqual(await violations(german), []);
    const { text } = await saved(german, '#audit-export-report');
    assert.match(text, /<html lang="de">/);
    assert.match(text, /Prüfung mit LlavaGuard/);
    const next = await german.context().newPage();
    await next.goto(`${server.url}#/audit`);
    await next.getByRole('heading', { name: 'Einen Ordner prüfen' }).waitFor();
    await german.context().close();
  });

  test('forty photos leave nothing behind but small rows', async () => {
    const many = join(folder, 'many');
    await makePhotos(many, { count: 40, side: 480 });
    const { counts, samples, cleared, rows } = await soak({
      folder: many,
      count: 40,
      interval: 200,
      thorough: false,
    });
    assert.equal((counts['Safe'] ?? 0) + (counts['Unsafe'] ?? 0), 40, JSON.stringify(counts));
    const last = samples.at(-1);
    assert.ok(last);
    assert.ok(rows < 40, `${rows} rows are in the page`);
    // Those in sight and the picture that is looked at.
    assert.ok(last.addresses <= rows + 2, `${last.addresses} addresses`);
    assert.equal(cleared.addresses, 0);
    assert.ok(last.heap - (samples[0]?.heap ?? 0) < 8e6, `${last.heap} bytes of heap`);
  });
});

/**
 * Puts a policy in force under which weapons are allowed.
 * @param {Page} page
 */
async function allowWeapons(page) {
  const card = page.locator('#policy-card');
  await card.waitFor();
  await page.locator('#category-O6 select').first().selectOption('non_violating');
}
