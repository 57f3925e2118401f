import { gzipSync } from 'node:zlib';

/**
 * Fails a build whose scripts, each compressed by gzip as a host would, are more than `limit` bytes
 * together; WebAssembly is not counted. Prints what they are.
 *
 * @param {number} limit
 * @returns {import('vite').Plugin}
 */
export function scriptBudget(limit) {
  return {
    name: 'llavaguard-script-budget',
    apply: 'build',
    enforce: 'post',
    generateBundle(_, bundle) {
      let bytes = 0;
      for (const [name, file] of Object.entries(bundle)) {
        if (!/\.m?js$/.test(name)) continue;
        bytes += gzipSync(file.type === 'chunk' ? file.code : file.source).length;
      }
      const told = `the page's scripts take ${(bytes / 1e3).toFixed(1)} kB compressed of ${(limit / 1e3).toFixed(0)} kB allowed`;
      if (bytes > limit) this.error(`${told}: leave something out, or load it when it is used`);
      this.info(told);
    },
  };
}
