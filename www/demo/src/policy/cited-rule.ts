import { computed } from '@preact/signals';

import { judge } from '../judge/judge-store.js';
import { policy } from './policy-store.js';
import { closestRule } from './closest-rule.js';

/** The rule a reason seems to refer to. */
export interface CitedRule {
  /** The category of the verdict. */
  category: string;
  /** The rule of it whose words are closest to the reason's: a guess; none where none is close. */
  rule: string | undefined;
}

/** What the verdict on the page refers to in the policy; none while there is no verdict. */
export const citedRule = computed<CitedRule | undefined>(() => {
  const verdict = judge.main.verdict.value;
  const categories = policy.description.value?.categories;
  const category = categories?.find(({ id }) => id === verdict?.category.id);
  if (!verdict || !category) return undefined;
  const rationale = judge.main.assessment.value?.rationale ?? '';
  const rules =
    verdict.rating === 'Unsafe' ? category.should_not : [...category.can, ...category.should_not];
  return { category: category.id, rule: closestRule(rationale, rules) };
});
