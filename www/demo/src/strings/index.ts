import { computed, effect, signal } from '@preact/signals';

import { de } from './de.js';
import { en, type Strings } from './en.js';

export type { Strings };

/** The languages of the page by their tags (BCP 47), in the order of the chooser. */
export const LANGUAGES: Record<string, Strings> = { en, de };

const KEY = 'llavaguard-language';

/** The language the user chose last, else the first of the browser's that the page has. */
function first(): string {
  const wanted = [localStorage.getItem(KEY) ?? '', ...navigator.languages];
  const tags = wanted.map((tag) => tag.split('-')[0] ?? '');
  return tags.find((tag) => tag in LANGUAGES) ?? 'en';
}

/** The tag of the language in use. */
export const language = signal(first());

/** The texts in the language in use; components that read its value follow the chooser. */
export const strings = computed(() => LANGUAGES[language.value] ?? en);

effect(() => {
  document.documentElement.lang = language.value;
});

/** Changes the language, now and for the next visit. */
export function choose(tag: string): void {
  language.value = tag;
  localStorage.setItem(KEY, tag);
}
