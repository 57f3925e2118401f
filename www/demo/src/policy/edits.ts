import type {
  CategoryMode,
  CategoryRules,
  PolicyCategory,
  PolicyDescription,
  PolicyDocument,
} from 'llavaguard';

/** A category's two lists of rules. */
export type Rules = Pick<PolicyCategory, 'should_not' | 'can'>;
export type RuleKind = keyof Rules;

/** What a document changes about a category, as an object whatever its form there. */
function changeOf(document: PolicyDocument, id: string): CategoryRules {
  const found = document.categories?.[id];
  if (found === undefined || found === 'removed') return {};
  return typeof found === 'string' ? { mode: found } : found;
}

function withChange(document: PolicyDocument, id: string, change: CategoryRules): PolicyDocument {
  const { mode, ...rest } = change;
  const changed = mode !== undefined && (mode !== 'default' || Object.keys(rest).length > 0);
  const after: CategoryRules = changed ? { mode, ...rest } : rest;
  if (Object.keys(after).length === 0) return restored(document, id);
  return { ...document, categories: { ...document.categories, [id]: after } };
}

/** Treats a category in another way. */
export function withMode(document: PolicyDocument, id: string, mode: CategoryMode): PolicyDocument {
  return withChange(document, id, { ...changeOf(document, id), mode });
}

/** Gives a category rules of its own; those of the base are not written out. */
export function withRules(
  document: PolicyDocument,
  id: string,
  rules: Rules,
  base: PolicyDescription | undefined,
): PolicyDocument {
  const { should_not: _, can: __, ...rest } = changeOf(document, id);
  const published = base?.categories.find((category) => category.id === id);
  const own = published === undefined || !sameRules(published, rules);
  return withChange(document, id, own ? { ...rest, ...rules } : rest);
}

/** Leaves a category out of the policy: a base's is removed, an added one forgotten. */
export function without(
  document: PolicyDocument,
  id: string,
  base: PolicyDescription | undefined,
): PolicyDocument {
  if (!base?.categories.some((category) => category.id === id)) return restored(document, id);
  return { ...document, categories: { ...document.categories, [id]: 'removed' } };
}

/** Takes a category as its base has it. */
export function restored(document: PolicyDocument, id: string): PolicyDocument {
  const { [id]: _, ...others } = document.categories ?? {};
  const { categories: __, ...rest } = document;
  return Object.keys(others).length > 0 ? { ...rest, categories: others } : rest;
}

/** Adds a category under the first free id. */
export function withCategory(
  document: PolicyDocument,
  base: PolicyDescription | undefined,
  title: string,
  rule: string,
): { document: PolicyDocument; id: string } {
  const taken = new Set([
    ...(base?.categories ?? []).map((category) => category.id),
    ...Object.keys(document.categories ?? {}),
  ]);
  let number = 1;
  while (taken.has(`O${number}`)) number++;
  const id = `O${number}`;
  const categories = { ...document.categories, [id]: { title, should_not: [rule] } };
  return { document: { ...document, categories }, id };
}

/** Gives the policy a name, or none. */
export function withName(document: PolicyDocument, name: string): PolicyDocument {
  const { name: _, ...rest } = document;
  return name === '' ? rest : { ...rest, name };
}

/** Whether a document changes anything about a category. */
export function isChanged(document: PolicyDocument, id: string): boolean {
  return document.categories?.[id] !== undefined;
}

function sameRules(a: Rules, b: Rules): boolean {
  const same = (x: string[], y: string[]) =>
    x.length === y.length && x.every((rule, at) => rule === y[at]);
  return same(a.should_not, b.should_not) && same(a.can, b.can);
}
