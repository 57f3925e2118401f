/**
 * Judges photos in the demo page as a visitor would, and prints one line of JSON for each.
 *
 *   node judge.mjs PHOTO...
 *
 * Exits with 1 where a photo could not be judged.
 */

import { launch, openDemo, outcome, serve } from './browser.mjs';

const photos = process.argv.slice(2);
const server = await serve();
const browser = await launch();
try {
  const page = await openDemo(browser, server.url);
  console.error(await page.locator('#model-status').innerText());
  for (const photo of photos) {
    const found = await outcome(page, () => page.locator('#photo-input').setInputFiles(photo));
    const line = 'error' in found ? { error: found.error } : found.assessment;
    console.log(JSON.stringify({ image: photo, ...line }));
    if ('error' in found) process.exitCode = 1;
  }
} finally {
  await browser.close();
  await server.close();
}
