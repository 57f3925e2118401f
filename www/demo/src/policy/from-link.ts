import { effect, untracked } from '@preact/signals';

import { engine } from '../shared/engine.js';
import { forgetParameters, route } from '../shared/route.js';
import { strings } from '../strings/index.js';
import { policy } from './policy-store.js';
import { policyOf } from './sharing.js';
import { tell, tellFailure } from './told.js';

/** Puts the policy of a shared link in force, as soon as there is an engine to check it. */
export function followLinks(): () => void {
  return effect(() => {
    const parameter = route.value.parameters.get('policy');
    if (parameter !== null && engine.guard.value) untracked(() => void follow(parameter));
  });
}

async function follow(parameter: string): Promise<void> {
  // Once only: what is changed afterwards must survive a reload.
  forgetParameters();
  try {
    if (await policy.apply(await policyOf(parameter))) tell(strings.value.policy.fromLink);
  } catch (error) {
    tellFailure(error);
  }
}
