/**
 * Records the page for the README: a photo is dropped and judged, the policy changed, and the verdict
 * with it. Writes docs/page.webp, an animated picture, by libwebp's `img2webp` (Debian: `webp`).
 *
 *   node recording.mjs
 */

import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { launch, openDemo, serve } from './browser.mjs';
import { photo } from './materials.mjs';

/** @typedef {import('./browser.mjs').Page} Page */

const OUT = fileURLToPath(new URL('../../docs/page.webp', import.meta.url));
const SIZE = { width: 1120, height: 1180 };
const NAME = 'firearm-revolver.jpg';
/** Milliseconds a frame of a movement is shown. */
const STEP = 60;

const folder = await mkdtemp(join(tmpdir(), 'llavaguard-recording-'));
const server = await serve();
const browser = await launch();
/** @type {{ png: Buffer, milliseconds: number }[]} */
const frames = [];

/**
 * Adds what the page looks like now. A frame that looks like the last one only prolongs it.
 * @param {Page} page
 * @param {number} milliseconds
 */
async function shoot(page, milliseconds) {
  const png = await page.screenshot();
  const last = frames.at(-1);
  if (last?.png.equals(png)) last.milliseconds += milliseconds;
  else frames.push({ png, milliseconds });
}

/**
 * In the page: shows a pointer, with the photo under it while that is dragged; a screenshot has none.
 * Styles are set one by one, since the page's content security policy allows no style sheet but its own.
 *
 * @param {{ x: number, y: number, dragged?: string | undefined }} to
 */
function point({ x, y, dragged }) {
  const id = 'recording-pointer';
  const found = document.getElementById(id);
  const box = found ?? document.createElement('div');
  if (!found) {
    box.id = id;
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    const arrow = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    svg.setAttribute('viewBox', '0 0 16 24');
    svg.setAttribute('width', '20');
    arrow.setAttribute('d', 'M1 1v17l4-4 3 8 3-1-3-8h6z');
    arrow.setAttribute('fill', '#111');
    arrow.setAttribute('stroke', '#fff');
    svg.append(arrow);
    box.append(document.createElement('img'), svg);
    document.body.append(box);
  }
  Object.assign(box.style, {
    position: 'fixed',
    left: `${x}px`,
    top: `${y}px`,
    zIndex: '1000',
    pointerEvents: 'none',
  });
  const image = box.querySelector('img');
  if (!image) return undefined;
  Object.assign(image.style, {
    position: 'absolute',
    left: '10px',
    top: '10px',
    width: '96px',
    borderRadius: '6px',
    opacity: '0.85',
    display: dragged === undefined ? 'none' : 'block',
  });
  if (dragged === undefined) return undefined;
  image.src = `data:image/jpeg;base64,${dragged}`;
  return image.decode();
}

/**
 * Moves the pointer.
 *
 * @param {Page} page
 * @param {{ x: number, y: number }} from
 * @param {{ x: number, y: number }} to
 * @param {string} [dragged] a photo in base64
 */
async function move(page, from, to, dragged) {
  const steps = 10;
  for (let step = 1; step <= steps; step++) {
    // Slower at both ends, as hands are.
    const way = (1 - Math.cos((Math.PI * step) / steps)) / 2;
    const [x, y] = [from.x + (to.x - from.x) * way, from.y + (to.y - from.y) * way];
    await page.evaluate(point, { x, y, dragged });
    await shoot(page, STEP);
  }
}

/**
 * Shoots the page until a verdict stands.
 * @param {Page} page
 */
async function untilJudged(page) {
  for (;;) {
    const done = (await page.locator('#result').getAttribute('data-state')) === 'done';
    await shoot(page, 80);
    if (done) return;
  }
}

/**
 * The middle of an element, where a pointer would go.
 * @param {Page} page
 * @param {string} selector
 */
async function middle(page, selector) {
  const box = await page.locator(selector).first().boundingBox();
  if (!box) throw new Error(`"${selector}" is not in sight`);
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

try {
  const page = await openDemo(browser, server.url, { viewport: SIZE, colorScheme: 'light' });
  await page.locator('#welcome-close').click();
  await page.locator('#policy-card li').first().waitFor();
  const bytes = photo(NAME).toString('base64');
  const [outside, inside] = [
    { x: SIZE.width - 60, y: SIZE.height - 40 },
    await middle(page, '#drop'),
  ];
  await shoot(page, 900);
  await page.evaluate((bytes) => {
    const carried = new DataTransfer();
    const data = Uint8Array.from(atob(bytes), (char) => char.charCodeAt(0));
    carried.items.add(new File([data], 'revolver.jpg', { type: 'image/jpeg' }));
    Object.assign(globalThis, { carried });
    document.body.dispatchEvent(
      new DragEvent('dragover', { dataTransfer: carried, bubbles: true }),
    );
  }, bytes);
  await move(page, outside, inside, bytes);
  await shoot(page, 300);
  await page.evaluate(() => {
    const dataTransfer = Reflect.get(globalThis, 'carried');
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true }));
  });
  await page.evaluate(point, inside);
  await page.locator('#result[data-state="working"]').waitFor();
  await untilJudged(page);
  await shoot(page, 2_600);
  const select = '#category-O6 select';
  await page.locator(select).scrollIntoViewIfNeeded();
  const target = await middle(page, select);
  await move(page, inside, target);
  await shoot(page, 500);
  await page.locator('#result').evaluate((card) => card.setAttribute('data-state', 'stale'));
  await page.locator(select).selectOption('non_violating');
  await untilJudged(page);
  await shoot(page, 3_400);

  const command = ['-loop', '0', '-min_size', '-lossy', '-q', '82', '-m', '6'];
  for (const [at, { png, milliseconds }] of frames.entries()) {
    const path = join(folder, `${at}.png`);
    await writeFile(path, png);
    command.push('-d', String(milliseconds), path);
  }
  execFileSync('img2webp', [...command, '-o', OUT], { stdio: ['ignore', 'ignore', 'inherit'] });
  console.error(`${OUT}: ${frames.length} frames`);
} finally {
  await browser.close();
  await server.close();
  await rm(folder, { recursive: true });
}
