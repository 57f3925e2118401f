import { LlavaGuard } from 'llavaguard';

const output = document.querySelector('output');
try {
  const guard = await LlavaGuard.load({
    model: 'model/manifest.json',
    createWorker: () => new Worker('llavaguard-worker.js', { type: 'module' }),
    wasmUrl: 'wasm',
  });
  const { rating, category } = await guard.assess('photo.jpg', { detail: 'low', rationale: false });
  output.textContent = JSON.stringify({ rating, category: category.id, build: guard.build });
} catch (error) {
  output.textContent = JSON.stringify({ error: String(error) });
}
output.dataset.done = '';
