import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('../src/service-worker.mjs', import.meta.url));

/**
 * Writes the service worker into the build: its version is the hash of everything the page is made of,
 * so that it changes exactly when the page does.
 *
 * @returns {import('vite').Plugin}
 */
export function serviceWorker() {
  return {
    name: 'llavaguard-service-worker',
    apply: 'build',
    enforce: 'post',
    generateBundle(_, bundle) {
      const source = readFileSync(SOURCE, 'utf8');
      const hash = createHash('sha256').update(source);
      const files = Object.keys(bundle).sort();
      for (const name of files) {
        const file = bundle[name];
        const content = file?.type === 'chunk' ? file.code : file?.source;
        hash.update(name).update(content ?? '');
      }
      const paths = ['./', './icon.svg', ...files.filter((name) => name !== 'index.html')];
      this.emitFile({
        type: 'asset',
        fileName: 'service-worker.js',
        source: source
          .replace("'__VERSION__'", JSON.stringify(hash.digest('hex').slice(0, 16)))
          .replace("'__FILES__'", JSON.stringify(paths)),
      });
    },
  };
}
