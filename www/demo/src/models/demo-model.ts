import { engine } from '../shared/engine.js';
import { strings } from '../strings/index.js';

/** The demo model lies beside the page. */
export const DEMO_MODEL = new URL('model/manifest.json', document.baseURI);

/** Loads the model that comes with the page. */
export function loadDemoModel(): Promise<boolean> {
  return engine.load({ model: DEMO_MODEL, name: strings.value.engine.demo });
}
