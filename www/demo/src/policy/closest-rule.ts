/** Words that say nothing about what a rule is about. */
const COMMON = new Set(
  (
    'a an and any are as at be by can category contain contains content could do does for from has have '
    + 'image in including information into is it its of on or other picture photo people person policy '
    + 'provide rating related rule safe shows should not such that the their them there these they this '
    + 'to unsafe violate violates which who with without'
  ).split(' '),
);

/** Share of a rule's words that must be in the reason before it is worth a guess. */
const LEAST = 0.12;

/** The words of a text, cut to their beginnings so that "firearms" and "firearm" are the same. */
function words(text: string): Set<string> {
  const found = text.toLowerCase().match(/\p{L}{3,}/gu) ?? [];
  return new Set(found.filter((word) => !COMMON.has(word)).map(stem));
}

function stem(word: string): string {
  return word.replace(/(?:ing|ies|ed|es|s|y)$/, '').slice(0, 8);
}

/**
 * The rule that shares most words with a reason. Each shared word counts the more the fewer of the rules
 * have it; the sum is divided by the root of the rule's length, so that long rules do not win by length.
 * A guess from words: the model does not say which rule it means.
 */
export function closestRule(reason: string, rules: string[]): string | undefined {
  const said = words(reason);
  const all = rules.map(words);
  let best: string | undefined;
  let bestScore = 0;
  rules.forEach((rule, at) => {
    const own = all[at] ?? new Set();
    const shared = [...own].filter((word) => said.has(word));
    if (shared.length < LEAST * own.size) return;
    const weight = (word: string) => 1 / all.filter((other) => other.has(word)).length;
    const score = shared.reduce((sum, word) => sum + weight(word), 0) / Math.sqrt(own.size);
    if (score > bestScore) [best, bestScore] = [rule, score];
  });
  return best;
}
