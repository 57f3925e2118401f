import { LlavaGuard } from 'llavaguard';
import { demoModel } from 'llavaguard-demo-model';

const output = document.querySelector('output');
try {
  const guard = await LlavaGuard.load({ model: demoModel });
  const { rating, category } = await guard.assess('photo.jpg', { detail: 'low', rationale: false });
  output.textContent = JSON.stringify({ rating, category: category.id, build: guard.build });
} catch (error) {
  output.textContent = JSON.stringify({ error: String(error) });
}
output.dataset.done = '';
