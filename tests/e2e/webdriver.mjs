/**
 * Firefox and WebKitGTK as far as `other-browsers.mjs` drives them: open an address, evaluate an
 * expression. Each by the protocol the browser's own package brings (Marionette; WebDriver over HTTP),
 * so nothing has to be installed beside it.
 */

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * @typedef {object} Driven
 * @property {string} version name and version as the browser gives them
 * @property {(url: string) => Promise<unknown>} open loads a page
 * @property {(expression: string) => Promise<any>} evaluate what JSON can hold of an expression's value
 * @property {() => Promise<void>} close ends the browser
 */

/** How long a browser may take to listen. */
const PATIENCE_MS = 60_000;

/**
 * Starts a headless Firefox with a profile of its own.
 * @returns {Promise<Driven | undefined>} none where there is no Firefox
 */
export async function firefox() {
  const program = programOf('firefox-esr', 'firefox');
  if (program === undefined) return undefined;
  const profile = mkdtempSync(join(tmpdir(), 'llavaguard-firefox-'));
  // A free port, which Firefox then writes into its profile.
  writeFileSync(join(profile, 'user.js'), 'user_pref("marionette.port", 0);\n');
  const child = spawn(
    program,
    ['--headless', '--marionette', '--no-remote', '--profile', profile],
    { stdio: 'ignore' },
  );
  const port = await until('Firefox', () => {
    const file = join(profile, 'MarionetteActivePort');
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    return Promise.resolve(text === '' ? undefined : Number(text));
  });
  const ask = marionette(port);
  const { capabilities } = await ask('WebDriver:NewSession', {});
  return {
    version: `Firefox ${capabilities.browserVersion}`,
    open: (url) => ask('WebDriver:Navigate', { url }),
    evaluate: async (expression) => {
      const answer = await ask('WebDriver:ExecuteScript', { script: `return ${expression}` });
      return answer.value;
    },
    close: async () => {
      await ask('Marionette:Quit', {}).catch(() => undefined);
      await ended(child);
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

/**
 * Starts WebKitGTK's MiniBrowser on a screen that nobody sees (Xvfb).
 * @returns {Promise<Driven | undefined>} none where WebKitWebDriver, MiniBrowser or Xvfb is missing
 */
export async function webkit() {
  const [driver, screen] = [programOf('WebKitWebDriver'), programOf('Xvfb')];
  const browser = ['x86_64', 'aarch64']
    .flatMap((machine) => ['4.1', '6.0'].map((api) => [machine, api]))
    .map(([machine, api]) => `/usr/lib/${machine}-linux-gnu/webkit2gtk-${api}/MiniBrowser`)
    .find((path) => existsSync(path));
  if (driver === undefined || screen === undefined || browser === undefined) return undefined;
  // Xvfb chooses a free display and says which.
  const display = spawn(screen, ['-displayfd', '1', '-screen', '0', '1280x900x24'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const number = await new Promise((resolve) => display.stdout.once('data', resolve));
  const port = await freePort();
  const child = spawn(driver, [`--port=${port}`], {
    stdio: 'ignore',
    env: { ...process.env, DISPLAY: `:${String(number).trim()}` },
  });
  /** @type {(method: string, path: string, body?: object) => Promise<any>} */
  const ask = async (method, path, body) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const { value } = /** @type {{ value: any }} */ (await response.json());
    if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
    return value;
  };
  await until('WebKitWebDriver', () => ask('GET', '/status').catch(() => undefined));
  const options = { binary: browser, args: ['--automation'] };
  const { sessionId, capabilities } = await ask('POST', '/session', {
    capabilities: { alwaysMatch: { 'webkitgtk:browserOptions': options } },
  });
  const session = `/session/${sessionId}`;
  return {
    version: `WebKitGTK ${capabilities.browserVersion}`,
    open: (url) => ask('POST', `${session}/url`, { url }),
    evaluate: (expression) =>
      ask('POST', `${session}/execute/sync`, { script: `return ${expression}`, args: [] }),
    close: async () => {
      await ask('DELETE', session).catch(() => undefined);
      for (const one of [child, display]) {
        one.kill();
        await ended(one);
      }
    },
  };
}

/**
 * Asks a Firefox by Marionette: JSON over TCP, each message led by its length in bytes.
 * @param {number} port
 * @returns {(command: string, parameters: object) => Promise<any>}
 */
function marionette(port) {
  const socket = connect(port, '127.0.0.1');
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  const open = new Map();
  let read = Buffer.alloc(0);
  let last = 0;
  socket.on('data', (bytes) => {
    read = Buffer.concat([read, bytes]);
    for (;;) {
      const colon = read.indexOf(':');
      const end = colon + 1 + Number(read.subarray(0, Math.max(colon, 0)));
      if (colon < 1 || read.length < end) return;
      const message = JSON.parse(read.subarray(colon + 1, end).toString());
      read = read.subarray(end);
      // The first message is a greeting.
      if (!Array.isArray(message)) continue;
      const [, id, error, value] = message;
      const waiting = open.get(id);
      open.delete(id);
      if (error) waiting?.reject(new Error(`${error.error}: ${error.message}`));
      else waiting?.resolve(value);
    }
  });
  const fail = () => {
    for (const { reject } of open.values()) reject(new Error('Firefox has gone'));
    open.clear();
  };
  socket.on('error', fail);
  socket.on('close', fail);
  return (command, parameters) =>
    new Promise((resolve, reject) => {
      const id = ++last;
      open.set(id, { resolve, reject });
      const text = JSON.stringify([0, id, command, parameters]);
      socket.write(`${Buffer.byteLength(text)}:${text}`);
    });
}

/**
 * The first of these programs that there is.
 * @param {string[]} names
 */
function programOf(...names) {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return names
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((path) => existsSync(path));
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/**
 * What `look` finds, as soon as it finds something.
 * @template T
 * @param {string} what
 * @param {() => Promise<T | undefined>} look
 * @returns {Promise<T>}
 */
export async function until(what, look, patience = PATIENCE_MS) {
  const deadline = Date.now() + patience;
  while (Date.now() < deadline) {
    const found = await look();
    if (found !== undefined && found !== null) return found;
    await sleep(200);
  }
  throw new Error(`${what} did not answer within ${patience / 1000} s`);
}

/** @param {import('node:child_process').ChildProcess} child */
function ended(child) {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve(undefined)));
}
