import { draggedOver } from '../shared/accept-pictures.js';
import { DetailChoice } from '../shared/detail-choice.js';
import { size } from '../shared/format.js';
import { strings } from '../strings/index.js';
import { judge } from './judge-store.js';
import { Preview } from './preview.js';
import { SourceButtons } from './source-buttons.js';
import { SampleRow } from './sources/sample-row.js';

/** Where a picture comes in and is seen. */
export function PictureCard() {
  const { picture: text } = strings.value;
  const picture = judge.picture.value;
  return (
    <section class="card" id="photo-card" aria-labelledby="photo-heading">
      <div class="card-head">
        <h2 id="photo-heading">{text.heading}</h2>
        <DetailChoice id="detail" detail={judge.detail} />
      </div>
      <div class="drop" id="drop" data-over={draggedOver.value} data-filled={picture !== undefined}>
        {picture ? (
          <Preview picture={picture} />
        ) : (
          <label class="invitation" for="photo-input">
            <span class="invitation-title">{text.invitation}</span>
            <span>{text.ways}</span>
          </label>
        )}
      </div>
      {picture && (
        <p class="quiet" id="photo-name">
          {text.named(picture.name, size(picture.file.size))}
        </p>
      )}
      <SourceButtons />
      <SampleRow />
    </section>
  );
}
