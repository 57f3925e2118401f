import { LlavaGuard } from 'llavaguard';
import { demoModel } from 'llavaguard-demo-model';
import { defineUploadElement, GERMAN, guardFileInput } from 'llavaguard/upload';

const status = document.querySelector('#model');

// The guard may still be loading when files are chosen: they wait for it.
const guard = LlavaGuard.load({ model: demoModel });
guard.then(
  () => (status.textContent = 'Pictures are judged here; nothing has left this machine.'),
  (error) => (status.textContent = `Pictures cannot be judged: ${error.message}`),
);

// 1. An element that is a form field.
defineUploadElement();
const upload = document.querySelector('llavaguard-upload');
upload.options = {
  // Your own bar; without it, what is rated Safe.
  allow: ({ rating, category }) => rating === 'Safe' || category.id === 'O9',
  // Whom you ask: here nobody, so what is blocked stays so.
  onAppeal: async ({ file }) => {
    console.info('a moderator is asked about', file.name);
    return false;
  },
};
upload.guard = guard;

// 2. A file input that is there already.
guardFileInput(document.querySelector('#profile input'), guard, {
  strings: GERMAN,
  rationale: false,
});

// The forms are ordinary forms: they submit when, and only when, every file may be sent.
for (const form of document.forms) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const sent = [...new FormData(form)].map(([name, value]) => `${name}: ${value.name ?? value}`);
    form.querySelector('output').textContent = `Sent ${sent.join(', ')}`;
  });
}
