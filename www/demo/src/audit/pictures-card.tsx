import { useEffect, useRef } from 'preact/hooks';

import { Check } from '../shared/fields.js';
import { whole } from '../shared/format.js';
import { strings } from '../strings/index.js';
import { audit } from './audit-store.js';
import { Details } from './details.js';
import { Filters } from './filters.js';
import { Grid } from './grid.js';
import { Keys } from './keys.js';

/** The table of pictures, and the one that is looked at beside it. */
export function PicturesCard() {
  const { audit: text } = strings.value;
  const { row } = audit.selected.value;
  const shown = audit.shown.value;
  const note = useRef<HTMLTextAreaElement>(null);
  const grid = useRef<HTMLDivElement>(null);
  const { total } = audit.tally.value;
  useEffect(() => {
    // Whoever opened a row on a phone sees it at once, and not the table's end.
    if (row && matchMedia('(width < 56rem)').matches) {
      document.getElementById('audit-details')?.scrollIntoView({ block: 'start' });
    }
  }, [row]);
  return (
    <section class="card" aria-labelledby="audit-pictures-heading">
      <div class="card-head">
        <h2 id="audit-pictures-heading" aria-live="polite">
          {text.table(whole(shown.length), whole(total))}
        </h2>
        <Check
          id="audit-blur"
          checked={audit.blur.value}
          onChange={(blur) => {
            audit.blur.value = blur;
          }}
        >
          {text.filters.blur}
        </Check>
      </div>
      <Filters />
      <div class="audit-table" data-open={row !== undefined}>
        <Grid
          grid={grid}
          onNote={() => {
            note.current?.focus();
          }}
        />
        <Details
          note={note}
          onBack={() => {
            grid.current?.focus();
          }}
        />
      </div>
      <Keys />
    </section>
  );
}
