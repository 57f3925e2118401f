import { LlavaGuard } from 'llavaguard';
import { demoModel } from 'llavaguard-demo-model';

const form = document.querySelector('form');
const status = document.querySelector('#status');
const pictures = document.querySelector('#pictures');
const guard = LlavaGuard.load({ model: demoModel });

/** Your generator: it gives pictures one after another. This one only reads them from a folder. */
async function* generate(prompt, signal) {
  const names = await (await fetch('pictures/index.json', { signal })).json();
  for (const name of names) {
    const response = await fetch(`pictures/${name}?prompt=${encodeURIComponent(prompt)}`, {
      signal,
    });
    yield await response.blob();
  }
}

/** Shows a picture that may be shown, and of any other only that there was one. */
async function show({ status, image, assessment, error }) {
  const item = document.createElement('li');
  if (status === 'judged' && assessment.rating === 'Safe') {
    const canvas = document.createElement('canvas');
    const bitmap = await createImageBitmap(image);
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    canvas.getContext('2d').drawImage(bitmap, 0, 0);
    canvas.role = 'img';
    canvas.ariaLabel = 'A generated picture';
    item.append(canvas);
  } else {
    item.className = 'withheld';
    const reason = status === 'judged' ? assessment.category.name : error.message;
    item.textContent = `Withheld: ${reason}`;
  }
  pictures.append(item);
}

let running = new AbortController();
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  running.abort();
  running = new AbortController();
  const { signal } = running;
  pictures.replaceChildren();
  status.textContent = 'Generating and judging…';
  try {
    const images = generate(form.elements.prompt.value, signal);
    // The next picture is generated while this one is judged.
    for await (const result of (await guard).assessMany(images, { rationale: false, signal })) {
      await show(result);
    }
    status.textContent = `${pictures.children.length} pictures, ${pictures.querySelectorAll('.withheld').length} withheld.`;
  } catch (error) {
    if (!signal.aborted) status.textContent = `No pictures: ${error.message}`;
  }
});
