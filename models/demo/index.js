/** Where the demo model lies; for `LlavaGuard.load({ model: demoModel })`. */
export const demoModel = {
  manifest: new URL('./manifest.json', import.meta.url),
  files: [new URL('./llavaguard-demo-q8_0.gguf', import.meta.url)],
};
