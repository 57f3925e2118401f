/**
 * Audits many photos in the demo page and watches the tab's memory meanwhile.
 *
 *   node soak.mjs [--count 1000] [--tar FILE] [--side 1280] [--seed 1] [--detail low] [--out FOLDER]
 *
 * The photos are taken evenly from a tar archive; without one they are made from the sample photos,
 * with `--side` pixels on the longer side. Writes `soak.json` and `soak.svg` to the folder (default:
 * docs/) and prints the figures. Linux only. Takes some minutes.
 */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { auditIs, goToAudit } from './audit-page.mjs';
import { launch, openDemo, serve } from './browser.mjs';
import { makePhotos, unpackPhotos } from './photos.mjs';

/** @typedef {import('./browser.mjs').Page} Page */
/** @typedef {import('./browser.mjs').Browser} Browser */

/**
 * What is measured at a moment; bytes.
 *
 * @typedef {object} Sample
 * @property {number} seconds since the beginning
 * @property {number} judged photos so far
 * @property {number} resident of the tab's process: its worker, the model and all else in it
 * @property {number} unshared the part of it that no other process has
 * @property {number} heap JavaScript's, of the page without its worker
 * @property {number} nodes of the DOM
 * @property {number} addresses of Blobs that are not revoked
 */

const MEGABYTE = 1e6;

/**
 * Audits the photos of a folder.
 *
 * @param {object} options
 * @param {string} options.folder
 * @param {number} options.count of photos in it
 * @param {string} [options.detail]
 * @param {number} [options.interval] milliseconds between samples
 * @param {boolean} [options.thorough] whether the browser's own measurement is made, which takes up to
 *   half a minute each time
 */
export async function soak({ folder, count, detail = 'low', interval = 1_000, thorough = true }) {
  const server = await serve();
  const browser = await launch();
  try {
    const page = await openDemo(browser, server.url);
    const watch = await watcher(browser, page);
    const whole = () => (thorough ? watch.whole() : Promise.resolve(NaN));
    await goToAudit(page);
    await page.locator('#audit-detail').selectOption(detail);
    await watch.collectGarbage();
    const before = await whole();
    watch.begin();
    /** @type {Sample[]} */
    const samples = [await watch.sample(0)];
    await page.locator('#audit-folder').setInputFiles(folder);
    await page.locator('#audit-status').waitFor();
    for (;;) {
      const judged = await done(page);
      samples.push(await watch.sample(judged));
      if (judged === count) break;
      // Somebody looks at it meanwhile: rows come and go, and with them their pictures.
      await page.locator('#audit-grid').press(judged % 2 === 0 ? 'PageDown' : 'End');
      await page.waitForTimeout(interval);
    }
    await auditIs(page, 'idle');
    const counts = await countsOf(page);
    await watch.collectGarbage();
    samples.push(await watch.sample(count));
    const after = await whole();
    const rows = await page.locator('.audit-grid-body .audit-row').count();
    await clear(page);
    await watch.collectGarbage();
    const cleared = await watch.sample(count);
    return { browser: browser.version(), detail, counts, rows, samples, cleared, before, after };
  } finally {
    await browser.close();
    await server.close();
  }
}

/** @param {Page} page */
async function done(page) {
  return Number(await page.locator('#audit-status').getAttribute('data-done'));
}

/**
 * How many photos there are of each kind; kinds without any are left out.
 * @param {Page} page
 */
async function countsOf(page) {
  const states = await page.locator('.audit-state').all();
  const counts = await Promise.all(
    states.map(async (state) => [
      await state.getAttribute('data-state'),
      Number((await state.locator('b').innerText()).replace(/\D/g, '')),
    ]),
  );
  return /** @type {Record<string, number>} */ (Object.fromEntries(counts));
}

/** @param {Page} page */
async function clear(page) {
  await page.locator('#audit-clear').click();
  await page.locator('#audit-clear-yes').click();
  await auditIs(page, 'empty');
}

/**
 * @param {Browser} browser
 * @param {Page} page
 */
async function watcher(browser, page) {
  let start = 0;
  const whole = await browser.newBrowserCDPSession();
  const tab = await page.context().newCDPSession(page);
  await tab.send('Performance.enable');
  // Counted from here on: addresses of Blobs that were made and not revoked.
  await page.evaluate(() => {
    const { createObjectURL, revokeObjectURL } = URL;
    const open = new Set();
    URL.createObjectURL = (blob) => {
      const url = createObjectURL.call(URL, blob);
      open.add(url);
      return url;
    };
    URL.revokeObjectURL = (url) => {
      open.delete(url);
      revokeObjectURL.call(URL, url);
    };
    Object.assign(globalThis, { openAddresses: open });
  });
  /** The tab's process: the renderer that holds the most, since the model is in it. */
  const found = await whole.send('SystemInfo.getProcessInfo');
  const renderers = found.processInfo.filter(({ type }) => type === 'renderer');
  const held = await Promise.all(
    renderers.map(async ({ id }) => ({ id, ...(await memoryOf(id)) })),
  );
  const { id } = held.reduce((most, one) => (one.resident > most.resident ? one : most));
  return {
    /** Time counts from here on. */
    begin: () => {
      start = performance.now();
    },
    /** @param {number} judged @returns {Promise<Sample>} */
    sample: async (judged) => {
      const { metrics } = await tab.send('Performance.getMetrics');
      const metric = (/** @type {string} */ name) =>
        metrics.find((one) => one.name === name)?.value ?? NaN;
      return {
        seconds: Number(((performance.now() - start) / 1000).toFixed(1)),
        judged,
        ...(await memoryOf(id)),
        heap: metric('JSHeapUsedSize'),
        nodes: metric('Nodes'),
        addresses: await page.evaluate(() => Number(Reflect.get(globalThis, 'openAddresses').size)),
      };
    },
    collectGarbage: async () => {
      for (let time = 0; time < 3; time++) await tab.send('HeapProfiler.collectGarbage');
      await page.waitForTimeout(500);
    },
    /** The browser's own measurement over page and worker; it takes its time. */
    whole: () =>
      page.evaluate(async () => {
        const { bytes } = await /** @type {any} */ (performance).measureUserAgentSpecificMemory();
        return Number(bytes);
      }),
  };
}

/** @param {number} pid */
async function memoryOf(pid) {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kilobytes = (/** @type {string} */ name) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? NaN);
  return {
    resident: 1024 * kilobytes('Rss'),
    unshared: 1024 * (kilobytes('Private_Clean') + kilobytes('Private_Dirty')),
  };
}

/**
 * Draws the samples.
 * @param {Sample[]} samples
 */
async function plot(samples) {
  const modules = fileURLToPath(new URL('../../www/node_modules/', import.meta.url));
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.addScriptTag({ path: join(modules, 'd3/dist/d3.min.js') });
    await page.addScriptTag({ path: join(modules, '@observablehq/plot/dist/plot.umd.min.js') });
    return await page.evaluate((samples) => {
      const { Plot } = /** @type {any} */ (globalThis);
      const lines = samples.flatMap(({ judged, resident, heap }) => [
        { judged, megabytes: resident / 1e6, what: 'tab’s process' },
        { judged, megabytes: heap / 1e6, what: 'JavaScript heap' },
      ]);
      const chart = Plot.plot({
        width: 760,
        height: 320,
        marginRight: 120,
        marginBottom: 44,
        style: { background: 'white', color: '#1d2321', fontSize: '12px' },
        x: { label: 'photos judged', labelOffset: 37, grid: true },
        y: { label: 'MB', grid: true, zero: true },
        color: { domain: ['tab’s process', 'JavaScript heap'], range: ['#2f6f5e', '#a8321f'] },
        marks: [
          Plot.line(lines, { x: 'judged', y: 'megabytes', stroke: 'what', strokeWidth: 2 }),
          Plot.text(
            lines,
            Plot.selectLast({
              x: 'judged',
              y: 'megabytes',
              z: 'what',
              text: 'what',
              textAnchor: 'start',
              dx: 6,
            }),
          ),
        ],
      });
      chart.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
      return String(chart.outerHTML);
    }, samples);
  } finally {
    await browser.close();
  }
}

/**
 * What grows with the photos: bytes a photo, by least squares over the second half, when all that is
 * made once has been made.
 *
 * @param {Sample[]} samples
 * @param {'resident' | 'heap'} what
 */
export function growth(samples, what) {
  const half = samples.filter(({ judged }) => judged >= (samples.at(-1)?.judged ?? 0) / 2);
  const mean = (/** @type {(sample: Sample) => number} */ value) =>
    half.reduce((sum, sample) => sum + value(sample), 0) / half.length;
  const x = mean(({ judged }) => judged);
  const y = mean((sample) => sample[what]);
  const slope =
    mean((sample) => (sample.judged - x) * (sample[what] - y))
    / mean(({ judged }) => (judged - x) ** 2);
  return Math.round(slope);
}

async function main() {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '1000' },
      tar: { type: 'string' },
      side: { type: 'string', default: '1280' },
      seed: { type: 'string', default: '1' },
      detail: { type: 'string', default: 'low' },
      out: { type: 'string', default: fileURLToPath(new URL('../../docs/', import.meta.url)) },
    },
  });
  const count = Number(values.count);
  const folder = await mkdtemp(join(tmpdir(), 'llavaguard-soak-'));
  try {
    if (values.tar === undefined) {
      await makePhotos(folder, { count, side: Number(values.side), seed: Number(values.seed) });
    } else {
      await unpackPhotos(values.tar, folder, count);
    }
    const found = await soak({ folder, count, detail: values.detail });
    const [first] = found.samples;
    const last = found.samples.at(-1);
    if (!first || !last) throw new Error('nothing was measured');
    const megabytes = (/** @type {number} */ bytes) => Number((bytes / MEGABYTE).toFixed(1));
    const figures = {
      photos: count,
      from: values.tar === undefined ? `made, ${values.side} pixels` : 'archive',
      browser: found.browser,
      detail: found.detail,
      counts: found.counts,
      seconds: last.seconds,
      rows_in_page: found.rows,
      resident_mb: {
        before: megabytes(first.resident),
        most: megabytes(Math.max(...found.samples.map(({ resident }) => resident))),
        after: megabytes(last.resident),
        cleared: megabytes(found.cleared.resident),
      },
      heap_mb: {
        before: megabytes(first.heap),
        most: megabytes(Math.max(...found.samples.map(({ heap }) => heap))),
        after: megabytes(last.heap),
        cleared: megabytes(found.cleared.heap),
      },
      browser_measured_mb: { before: megabytes(found.before), after: megabytes(found.after) },
      resident_growth_bytes_per_photo: growth(found.samples, 'resident'),
      most_addresses: Math.max(...found.samples.map(({ addresses }) => addresses)),
      most_nodes: Math.max(...found.samples.map(({ nodes }) => nodes)),
    };
    await writeFile(
      join(values.out, 'soak.json'),
      `${JSON.stringify({ ...figures, samples: found.samples }, null, 1)}\n`,
    );
    await writeFile(join(values.out, 'soak.svg'), `${await plot(found.samples)}\n`);
    console.log(JSON.stringify(figures, null, 2));
  } finally {
    await rm(folder, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
