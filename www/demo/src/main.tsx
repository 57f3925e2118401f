import './style/base.css';
import './style/shell.css';
import './style/judge.css';
import './style/policy.css';
import './style/models.css';
import './style/audit.css';

import { render } from 'preact';

import { App } from './app.js';
import { loadDemoModel } from './models/demo-model.js';
import { keepOffline } from './shared/offline.js';
import { countRequests } from './shared/requests.js';

const root = document.getElementById('page');
if (!root) throw new Error('the page has no element "page"');
root.replaceChildren();
render(<App />, root);
// The service worker fetches the page once more; the model comes first.
void loadDemoModel().finally(() => keepOffline().then(countRequests));
