import { computed, effect, type Signal, signal, untracked } from '@preact/signals';
import type { PolicyDescription, PolicyDocument, PolicyPrompt } from 'llavaguard';

import { engine } from '../shared/engine.js';
import type { Thresholds } from './thresholds.js';

/** A policy as the page holds it: the document the model is asked by, and the page's thresholds. */
export interface PagePolicy {
  document: PolicyDocument;
  thresholds: Thresholds;
}

/** Where a change is made, so that a refusal is told there. */
export type Place = 'cards' | 'editor';

/** LlavaGuard's own policy, decided as the model decides. */
export const DEFAULT_POLICY: PagePolicy = {
  document: { base: 'llavaguard-v1.2' },
  thresholds: {},
};

const KEY = 'llavaguard-policy';
/** Steps that can be undone. */
const STEPS = 100;

/**
 * The policy in force, shared by all views. Whatever is in force has been checked by the engine; a
 * policy that is refused changes nothing.
 */
class PolicyStore {
  readonly #current = signal(remembered());
  readonly #description = signal<PolicyDescription | undefined>(undefined);
  readonly #base = signal<PolicyDescription | undefined>(undefined);
  readonly #prompt = signal<PolicyPrompt | undefined>(undefined);
  readonly #error = signal<unknown>(undefined);
  readonly #refusedIn = signal<Place>('cards');
  readonly #past = signal<PagePolicy[]>([]);
  readonly #future = signal<PagePolicy[]>([]);
  #latest = 0;

  /** The document and the thresholds in force. */
  readonly current = computed(() => this.#current.value);
  /** What the document amounts to; none until there is an engine to ask. */
  readonly description = computed(() => this.#description.value);
  /** Its base as published, nothing changed. */
  readonly base = computed(() => this.#base.value);
  /** What the model reads. */
  readonly prompt = computed(() => this.#prompt.value);
  /** Why the last change was refused. */
  readonly error = computed(() => this.#error.value);
  /** Where that was made. */
  readonly refusedIn = computed(() => this.#refusedIn.value);
  /** Whether there is a step to undo, or to do again. */
  readonly canUndo = computed(() => this.#past.value.length > 0);
  readonly canRedo = computed(() => this.#future.value.length > 0);

  constructor() {
    // A policy that was kept is checked, and described, as soon as there is an engine for that.
    effect(() => {
      if (engine.guard.value) untracked(() => void this.#check());
    });
  }

  /** Puts a policy in force, if it is one; gives whether it was. */
  async apply(next: PagePolicy | string, place: Place = 'cards'): Promise<boolean> {
    const before = this.#current.value;
    this.#refusedIn.value = place;
    if ((await this.#enter(next)) !== 'entered') return false;
    if (same(before, this.#current.value)) return true;
    this.#past.value = [...this.#past.value, before].slice(-STEPS);
    this.#future.value = [];
    return true;
  }

  /** Changes the thresholds alone: no picture has to be judged again. */
  setThresholds(thresholds: Thresholds): void {
    const before = this.#current.value;
    this.#past.value = [...this.#past.value, before].slice(-STEPS);
    this.#future.value = [];
    this.#keep({ ...before, thresholds });
  }

  /** Takes back the last change. */
  async undo(): Promise<void> {
    await this.#step(this.#past, this.#future);
  }

  /** Makes the change again that was taken back last. */
  async redo(): Promise<void> {
    await this.#step(this.#future, this.#past);
  }

  /** Notes why a change came to nothing before the engine saw it. */
  refuse(error: unknown, place: Place): void {
    this.#latest++;
    this.#refusedIn.value = place;
    this.#error.value = error;
  }

  /** Lets go of an error that was shown. */
  forgetError(): void {
    this.#error.value = undefined;
  }

  async #step(from: Signal<PagePolicy[]>, to: Signal<PagePolicy[]>): Promise<void> {
    const target = from.value.at(-1);
    const before = this.#current.value;
    this.#refusedIn.value = 'cards';
    if (!target || (await this.#enter(target)) !== 'entered') return;
    from.value = from.value.slice(0, -1);
    to.value = [...to.value, before];
  }

  async #check(): Promise<void> {
    const outcome = await this.#enter(this.#current.value);
    // What was kept is no policy (any more); the default always is one.
    if (outcome === 'refused' && !this.#description.value) await this.#enter(DEFAULT_POLICY);
  }

  /** Takes a policy, or a document's text, once the engine has found it good; the last one wins. */
  async #enter(next: PagePolicy | string): Promise<'entered' | 'refused' | 'overtaken'> {
    const number = ++this.#latest;
    const text = typeof next === 'string' ? next : JSON.stringify(next.document);
    try {
      const found = await engine.use(async (guard) => {
        const description = await guard.validatePolicy(text);
        const document = JSON.parse(description.document) as PolicyDocument;
        const { base } = document;
        const [published, prompt] = await Promise.all([
          guard.validatePolicy(base === undefined ? {} : { base }),
          guard.prompt(text),
        ]);
        return { description, document, published, prompt };
      });
      if (number !== this.#latest) return 'overtaken';
      this.#description.value = found.description;
      this.#base.value = found.published;
      this.#prompt.value = found.prompt;
      const { thresholds } = typeof next === 'string' ? this.#current.value : next;
      this.#error.value = undefined;
      this.#keep({ document: found.document, thresholds });
      return 'entered';
    } catch (error) {
      if (number !== this.#latest) return 'overtaken';
      this.#error.value = error;
      return 'refused';
    }
  }

  #keep(policy: PagePolicy): void {
    this.#current.value = policy;
    try {
      localStorage.setItem(KEY, JSON.stringify(policy));
    } catch {
      // A browser that keeps nothing starts with the default policy next time.
    }
  }
}

function same(a: PagePolicy, b: PagePolicy): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The policy of the last visit. */
function remembered(): PagePolicy {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? '') as Partial<PagePolicy>;
    return { ...DEFAULT_POLICY, ...found };
  } catch {
    return DEFAULT_POLICY;
  }
}

export const policy = new PolicyStore();
