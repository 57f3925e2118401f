import { strings } from '../strings/index.js';
import { audit } from './audit-store.js';
import { ChartsCard } from './charts-card.js';
import { ChoosePictures } from './choose-pictures.js';
import { ExportCard } from './export-card.js';
import { LeftOut } from './left-out.js';
import { PicturesCard } from './pictures-card.js';
import { ProgressCard } from './progress-card.js';
import { Setup } from './setup.js';

/** Many pictures under one policy: what comes of them, a person's review, and what is taken away. */
export function AuditView() {
  const empty = audit.tally.value.total === 0;
  return (
    <div class="audit" id="audit" data-state={empty ? 'empty' : audit.work.value.state}>
      {empty ? (
        <Beginning />
      ) : (
        <>
          <ProgressCard />
          <PicturesCard />
          <ChartsCard />
          <ExportCard />
        </>
      )}
    </div>
  );
}

function Beginning() {
  const { audit: text } = strings.value;
  return (
    <section class="card audit-beginning" aria-labelledby="audit-heading">
      <h2 id="audit-heading">{text.heading}</h2>
      <p>{text.lead}</p>
      <ChoosePictures />
      <LeftOut />
      <Setup />
    </section>
  );
}
