import { signal } from '@preact/signals';

/** The views of the page, in the order of its navigation. */
export const VIEWS = ['judge', 'audit', 'models'] as const;
export type View = (typeof VIEWS)[number];

/** What the address names behind its `#`: a view, and parameters such as a shared policy. */
export interface Route {
  view: View;
  parameters: URLSearchParams;
}

function parse(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const view = VIEWS.find((name) => name === path) ?? 'judge';
  return { view, parameters: new URLSearchParams(query) };
}

/** Where the page is. */
export const route = signal(parse(location.hash));

addEventListener('hashchange', () => {
  route.value = parse(location.hash);
});

/** The address of a view, for links. */
export function addressOf(view: View): string {
  return `#/${view}`;
}

/** Goes to a view. */
export function go(view: View): void {
  location.hash = addressOf(view);
}

/** Takes the parameters out of the address, once they have been used. */
export function forgetParameters(): void {
  history.replaceState(history.state, '', addressOf(route.value.view));
  route.value = parse(location.hash);
}
