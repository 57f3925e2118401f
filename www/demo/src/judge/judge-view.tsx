import { useRef } from 'preact/hooks';

import { PolicyPanel } from '../policy/policy-panel.js';
import { useInSight } from './in-sight.js';
import { PictureCard } from './picture-card.js';
import { VerdictCard } from './verdict-card.js';
import { Welcome } from './welcome.js';

/** One picture, its verdict, and the policy it is judged by. */
export function JudgeView() {
  const seen = useRef<HTMLDivElement>(null);
  useInSight(seen);
  return (
    <>
      <Welcome />
      <div class="judge">
        <div class="judge-seen" ref={seen}>
          <PictureCard />
          <VerdictCard />
        </div>
        <PolicyPanel />
      </div>
    </>
  );
}
