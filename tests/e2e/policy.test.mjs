import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { openDemo } from './browser.mjs';
import { assessed, choose, judge, shownError, withPage } from './page.mjs';

/** @typedef {import('./browser.mjs').Page} Page */

/** @param {Page} page */
function documentOf(page) {
  return page
    .locator('#policy-json')
    .inputValue()
    .then((text) => JSON.parse(text));
}

/**
 * @param {Page} page
 * @param {string} id
 */
function modeOf(page, id) {
  return page.getByRole('combobox', { name: `How ${id} is treated` });
}

/** @param {Page} page */
async function toDefault(page) {
  await page.locator('#policy-preset').selectOption('museum');
  await page.locator('#policy-preset').selectOption('default');
  await page.waitForFunction(
    () =>
      /** @type {HTMLTextAreaElement} */ (document.getElementById('policy-json')).value
      === '{\n  "base": "llavaguard-v1.2"\n}\n',
  );
}

/**
 * Opens a category's rules.
 * @param {Page} page
 * @param {string} id
 */
async function open(page, id) {
  const card = page.locator(`#category-${id}`);
  const button = card.locator('.disclosure');
  if ((await button.getAttribute('aria-expanded')) === 'false') await button.click();
  return card;
}

describe('the policy', () => {
  const given = withPage({ context: { permissions: ['clipboard-read', 'clipboard-write'] } });

  test('a changed mode judges the photo again at once, from its session', async () => {
    const { page } = given;
    const first = await judge(page);
    assert.equal(first.rating, 'Unsafe');
    assert.ok(first.timings_ms.vision > 0);
    const allowed = await assessed(page, () => modeOf(page, 'O6').selectOption('non_violating'));
    assert.equal(allowed.rating, 'Safe');
    assert.equal(allowed.category.id, 'O6');
    assert.notEqual(allowed.policy_id, first.policy_id);
    // The photo was not looked at again.
    assert.equal(allowed.timings_ms.vision, 0);
    const undone = await assessed(page, () => page.getByRole('button', { name: 'Undo' }).click());
    assert.deepEqual(withoutTimings(undone), withoutTimings(first));
    const redone = await assessed(page, () => page.getByRole('button', { name: 'Redo' }).click());
    assert.deepEqual(withoutTimings(redone), withoutTimings(allowed));
    // By the keys as well.
    await page.locator('#policy-heading').click();
    const keys = await assessed(page, () => page.keyboard.press('Control+z'));
    assert.equal(keys.rating, 'Unsafe');
    const forbidden = await assessed(page, () => modeOf(page, 'O6').selectOption('sensitive'));
    assert.deepEqual(await documentOf(page), {
      base: 'llavaguard-v1.2',
      categories: { O6: 'sensitive' },
    });
    assert.notEqual(forbidden.policy_id, first.policy_id);
    await toDefault(page);
  });

  test('rules are changed, added and removed; the base’s own are not written out', async () => {
    const { page } = given;
    const card = await open(page, 'O9');
    const rules = card.locator('.rule');
    assert.equal(await rules.count(), 4);
    const prompt = page.locator('#prompt-text');
    await page.locator('#prompt summary').click();
    await card.getByRole('button', { name: 'Add a rule: can' }).click();
    await page.keyboard.type('Contain content of   fire drills.');
    await page.keyboard.press('Enter');
    await rules.filter({ hasText: 'Contain content of fire drills.' }).waitFor();
    assert.equal((await documentOf(page)).categories.O9.can.length, 3);
    assert.match(await prompt.innerText(), /- Contain content of fire drills\./);
    assert.match(await card.innerText(), /changed/);
    await card.getByRole('button', { name: /^Edit the rule .*fire drills/ }).click();
    await page.keyboard.type(' All of them.');
    await page.getByRole('button', { name: 'Save' }).click();
    await rules.filter({ hasText: 'fire drills. All of them.' }).waitFor();
    await card.getByRole('button', { name: /^Remove the rule .*fire drills/ }).click();
    await page.waitForFunction(
      () => !document.getElementById('prompt-text')?.textContent.includes('fire drills'),
    );
    assert.deepEqual(await documentOf(page), { base: 'llavaguard-v1.2' });
  });

  test('the last rule of a category stays', async () => {
    const { page } = given;
    await page.locator('#policy-editor summary').click();
    await page.locator('#policy-json').fill('{"categories": {"O9": {"can": ["Burn."]}}}');
    await page.getByRole('button', { name: 'Apply' }).click();
    const card = await open(page, 'O9');
    const remove = card.getByRole('button', { name: 'Remove the rule “Burn.”' });
    await remove.waitFor();
    assert.ok(await remove.isDisabled());
    await card.getByRole('button', { name: 'Restore O9' }).click();
    await card.locator('.rule').nth(3).waitFor();
    assert.deepEqual(await documentOf(page), { base: 'llavaguard-v1.2' });
  });

  test('categories are added, left out and taken back', async () => {
    const { page } = given;
    await page.getByRole('button', { name: 'Add a category' }).click();
    await page.getByLabel('Title').fill('Gambling');
    await page.getByLabel('What a photo should not do').fill('Contain content of people gambling.');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.locator('#category-O10').waitFor();
    const found = await judge(page);
    assert.ok(found.category_probabilities.some(({ name }) => name === 'O10: Gambling'));
    await page.locator('#category-O10').getByRole('button', { name: 'Remove O10' }).click();
    await page.locator('#category-O10').waitFor({ state: 'detached' });
    assert.deepEqual(await documentOf(page), { base: 'llavaguard-v1.2' });

    const card = await open(page, 'O1');
    await card.getByRole('button', { name: 'Remove O1' }).click();
    await page.getByRole('button', { name: 'Take O1 back' }).waitFor();
    assert.equal(await page.locator('.category').count(), 8);
    assert.deepEqual(await documentOf(page), {
      base: 'llavaguard-v1.2',
      categories: { O1: 'removed' },
    });
    await page.getByRole('button', { name: 'Take O1 back' }).click();
    await page.locator('#category-O1').waitFor();
    assert.equal(await page.locator('.category').count(), 9);
  });

  test('a threshold is the page’s decision; the model’s own rating is told and exported', async () => {
    const { page } = given;
    const found = await judge(page, 'clothing-shoes.jpg');
    assert.equal(found.rating, 'Safe');
    const { id } = found.category;
    // A photo no category applies to has no threshold; one that has is taken instead.
    const subject = id === 'NA' ? await judge(page) : found;
    const card = await open(page, subject.category.id);
    const slider = card.getByRole('slider', { name: 'Unsafe from' });
    await slider.focus();
    await page.keyboard.press(subject.rating === 'Unsafe' ? 'End' : 'Home');
    const wanted = subject.rating === 'Unsafe' ? 'Safe' : 'Unsafe';
    const threshold = subject.rating === 'Unsafe' ? 0.99 : 0.01;
    await page
      .locator('#rating')
      .filter({ hasText: new RegExp(`^${wanted}$`) })
      .waitFor();
    const said = await page.locator('#overruled').innerText();
    assert.match(said, new RegExp(`${threshold * 100}%`));
    assert.match(said, new RegExp(`own rating is ${subject.rating}`));
    const json = JSON.parse((await page.locator('#json').textContent()) ?? '');
    assert.deepEqual(json.decision, { rating: wanted, threshold });
    assert.equal(json.assessment.rating, subject.rating);

    const exported = await download(page);
    assert.deepEqual(JSON.parse(exported), {
      policy: { base: 'llavaguard-v1.2' },
      thresholds: { [subject.category.id]: threshold },
    });
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.locator('#overruled').waitFor({ state: 'detached' });
    await choose(page, '#policy-import', 'mine.json', Buffer.from(exported));
    await page.getByText('mine.json is in force.').waitFor();
    await page.locator('#overruled').waitFor();
    await page.getByRole('button', { name: 'Undo' }).click();
    await page.locator('#overruled').waitFor({ state: 'detached' });
    // Without thresholds it is a document for the command line too.
    assert.deepEqual(JSON.parse(await download(page)), { base: 'llavaguard-v1.2' });
  });

  test('the presets are what the command line has, and each judges', async () => {
    const { page } = given;
    for (const [preset, file] of [
      ['museum', 'weapons-museum'],
      ['school', 'school'],
      ['news', 'news-desk'],
      ['europe', 'european-union'],
    ]) {
      await assessed(page, () => page.locator('#policy-preset').selectOption(preset ?? ''));
      const path = new URL(`../../crates/policy/presets/${file}.json`, import.meta.url);
      // To the letter, so in the order people read categories in: O10 behind O9.
      assert.equal(await page.locator('#policy-json').inputValue(), readFileSync(path, 'utf8'));
      assert.equal(await page.locator('#policy-preset').inputValue(), preset);
    }
    await toDefault(page);
  });

  test('what the model reads is exact, and as long as it says', async () => {
    const { page } = given;
    const found = await judge(page);
    const tokens = await page.locator('#prompt-tokens').innerText();
    assert.equal(tokens, `${found.tokens.prompt.toLocaleString('en')} tokens`);
    const text = (await page.locator('#prompt-text').textContent()) ?? '';
    const wanted = readFileSync(
      new URL('../../crates/policy/data/llavaguard-v1.2-prompt.txt', import.meta.url),
      'utf8',
    );
    assert.equal(text, wanted.replace('<image>\n', ''));
  });

  test('a link carries the policy behind its #, and another page follows it', async () => {
    const { page } = given;
    await page.locator('#policy-preset').selectOption('school');
    await page.locator('#category-O10').waitFor();
    const card = await open(page, 'O6');
    await card.getByRole('slider').focus();
    await page.keyboard.press('Home');
    await page.getByRole('button', { name: 'Share link' }).click();
    const link = await page.locator('#policy-link').inputValue();
    assert.equal(await page.evaluate('navigator.clipboard.readText()'), link);
    assert.equal(new URL(link).search, '');
    assert.match(new URL(link).hash, /^#\/judge\?policy=[\w-]+$/);

    const friend = await openDemo(given.browser, link);
    await friend.getByText('The policy of the link is in force.').waitFor();
    assert.deepEqual(await documentOf(friend), await documentOf(page));
    assert.match(await friend.locator('#category-O6').innerText(), /from 1%/);
    assert.equal(new URL(friend.url()).hash, '#/judge');
    // Kept for the next visit.
    await friend.reload();
    await friend.locator('#category-O10').waitFor();
    await friend.context().close();
    given.served.forEach((address) => assert.doesNotMatch(address, /policy=/));

    const broken = await openDemo(given.browser, link.slice(0, -20));
    assert.equal((await shownError(broken, '#policy-failure')).code, 'page.bad_link');
    assert.equal(await broken.locator('.category').count(), 9);
    await broken.context().close();
    await toDefault(page);
  });

  test('two verdicts stand side by side, and both follow the photo', async () => {
    const { page } = given;
    await judge(page);
    await page.locator('#compare').selectOption('museum');
    const other = page.locator('#other-verdict');
    await other.and(page.locator('[data-state="done"]')).waitFor();
    assert.equal(await page.locator('#rating').innerText(), 'Unsafe');
    assert.equal(await page.locator('#other-rating').innerText(), 'Safe');
    assert.match(await other.innerText(), /Under “Weapons museum”/);
    await judge(page, 'groceries-bananas.jpg');
    await other.and(page.locator('[data-state="done"]')).waitFor();
    assert.equal(await page.locator('#other-rating').innerText(), 'Safe');
    // As it is now, against what becomes of it.
    await judge(page);
    await page.locator('#compare').selectOption('kept');
    await assessed(page, () => modeOf(page, 'O6').selectOption('non_violating'));
    await other.and(page.locator('[data-state="done"]')).waitFor();
    assert.equal(await page.locator('#rating').innerText(), 'Safe');
    assert.equal(await page.locator('#other-rating').innerText(), 'Unsafe');
    await page.locator('#compare').selectOption('');
    await other.waitFor({ state: 'detached' });
    await toDefault(page);
  });

  test('a typo gets an error that names the place; the last policy stays', async () => {
    const { page } = given;
    const editor = page.locator('#policy-json');
    await editor.fill('{"categories": {"O6": {"can": ["Be old."], "shoud_not": ["Shoot."]}}}');
    await page.getByRole('button', { name: 'Apply' }).click();
    const error = await shownError(page, '#policy-error');
    assert.equal(error.code, 'policy.unknown_key');
    assert.match(error.text, /shoud_not.*should_not/s);
    assert.match(error.text, /O6/);
    // Beside what was written, not above all categories.
    assert.equal(await page.locator('#policy-editor #policy-error').count(), 1);
    assert.equal(await page.locator('#category-O6').getAttribute('data-mode'), 'default');
    await editor.fill('{"policy": {}, "thresholds": {"O6": 2}}');
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.locator('#policy-error[data-code="page.bad_threshold"]').waitFor();
    await editor.fill('{"categories": {"O6": "removed"}}');
    await page.getByRole('button', { name: 'Apply' }).click();
    await page.locator('#policy-error').waitFor({ state: 'detached' });
    assert.equal(await page.locator('.category').count(), 8);
    await toDefault(page);
  });

  test('an error is told in the language of the page, its place in the words of the package', async () => {
    const { page } = given;
    const error = page.locator('#policy-error');
    await page.getByLabel('Language').selectOption('de');
    await page.locator('#policy-json').fill('{"categories": {"O6": "non-violating"}}');
    await page.getByRole('button', { name: 'Übernehmen' }).click();
    assert.equal((await shownError(page, '#policy-error')).code, 'policy.unknown_mode');
    const [german, exactly] = await error.locator('p').allInnerTexts();
    assert.match(german ?? '', /^Diese Behandlung einer Kategorie gibt es nicht\. Nehmen Sie/);
    assert.match(exactly ?? '', /^Genauer, auf Englisch: .*categories\.O6.*non-violating/s);
    assert.equal(await error.locator('[lang="en"]').count(), 1);
    // What stands there already follows the language.
    await page.getByLabel('Sprache').selectOption('en');
    assert.equal(await error.locator('code').last().innerText(), 'non_violating');
    assert.match(await error.innerText(), /has the unknown mode non-violating\./);
    assert.equal(await error.locator('p').count(), 1);
    await toDefault(page);
  });
});

/**
 * The text of the file that Export saves.
 * @param {Page} page
 */
async function download(page) {
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Export' }).click(),
  ]);
  assert.match(file.suggestedFilename(), /^[\w.-]+\.json$/);
  return readFileSync(await file.path(), 'utf8');
}

/** @param {import('llavaguard').Assessment} assessment */
function withoutTimings({ timings_ms: _, ...rest }) {
  return rest;
}
