import type { Detail, LlavaGuard } from 'llavaguard';

import { element } from './dom.js';
import { Judge } from './judge.js';
import { ModelPanel } from './model-panel.js';
import { keepOffline, showIsolation } from './offline.js';
import { PhotoPanel } from './photo-panel.js';
import { PolicyPanel } from './policy-panel.js';
import { ResultPanel } from './result-panel.js';

const DEMO_MODEL = new URL('model/manifest.json', document.baseURI);

let engine: LlavaGuard | undefined;
const judge = new Judge(
  new ResultPanel(() => {
    judge.stop();
  }),
  () => {
    model.refresh();
  },
);
const policy = new PolicyPanel(
  (document) => {
    if (!engine) throw new Error('there is no engine yet to check the policy with');
    return engine.validatePolicy(document);
  },
  (document) => {
    judge.setPolicy(document);
  },
);
new PhotoPanel(
  (photo) => {
    judge.setPhoto(photo);
  },
  (file, handle) => {
    void model.loadFile(file, handle);
  },
);
const detail = element('detail', HTMLSelectElement);
detail.addEventListener('change', () => {
  judge.setDetail(detail.value as Detail);
});
const model = new ModelPanel(
  (guard) => {
    engine = guard;
    judge.setGuard(guard);
    void policy.refresh();
  },
  () => {
    judge.guardFailed();
  },
);
showIsolation();
// The service worker fetches the page once more; the model comes first.
void model.load(DEMO_MODEL, 'the demo model').finally(keepOffline);
