import { defineConfig } from 'vite';

import { scriptBudget } from './scripts/script-budget.mjs';
import { serviceWorker } from './scripts/service-worker-plugin.mjs';

export default defineConfig({
  // Relative, so that the page can be hosted in any folder.
  base: './',
  // The sample photos lie with the tests, outside this folder.
  server: { fs: { allow: ['../..'] } },
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    // Inlined files would be data: addresses, which the content security policy refuses.
    assetsInlineLimit: 0,
  },
  worker: { format: 'es' },
  plugins: [serviceWorker(), scriptBudget(250_000)],
});
