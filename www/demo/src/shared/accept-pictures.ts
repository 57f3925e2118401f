import { signal } from '@preact/signals';

import { audit } from '../audit/audit-store.js';
import { fromBrought } from '../audit/folder.js';
import { judge } from '../judge/judge-store.js';
import { loadModelFile } from '../models/model-file.js';
import { broughtBy, type Brought, type Picture } from './pictures.js';
import { go, route } from './route.js';

/** Whether something is being dragged over the page. */
export const draggedOver = signal(false);

/** Takes pictures from wherever they come: one is judged; several, or any in the audit, are audited. */
export function bring(pictures: Picture[]): void {
  take({ pictures, others: [], unreadable: [] });
}

function take(brought: Brought): void {
  const { pictures, others, unreadable, model } = brought;
  const [first] = pictures;
  if (model) void loadModelFile(model.file, model.handle);
  else if (
    pictures.length + others.length + unreadable.length > 1
    || route.value.view === 'audit'
  ) {
    audit.add(fromBrought(brought));
    go('audit');
  } else if (first) {
    judge.show(first);
    go('judge');
  }
}

/** The whole page takes drops and pastes: a photo that misses its place must not replace the page. */
export function acceptPictures(): () => void {
  const listening = new AbortController();
  const { signal } = listening;
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;
  document.addEventListener(
    'dragover',
    (event) => {
      event.preventDefault();
      draggedOver.value = hasFiles(event);
    },
    { signal },
  );
  document.addEventListener(
    'dragleave',
    (event) => {
      if (event.relatedTarget === null) draggedOver.value = false;
    },
    { signal },
  );
  document.addEventListener(
    'drop',
    (event) => {
      event.preventDefault();
      draggedOver.value = false;
      if (event.dataTransfer) void broughtBy(event.dataTransfer).then(take);
    },
    { signal },
  );
  document.addEventListener(
    'paste',
    (event) => {
      if (event.clipboardData?.files.length) void broughtBy(event.clipboardData).then(take);
    },
    { signal },
  );
  return () => {
    listening.abort();
  };
}
