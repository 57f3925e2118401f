import type { Detail } from 'llavaguard';

import { bring, draggedOver } from '../shared/accept-pictures.js';
import { size } from '../shared/format.js';
import { type Picture, picturesOf } from '../shared/pictures.js';
import { strings } from '../strings/index.js';
import { judge } from './judge-store.js';
import { Preview } from './preview.js';

const LEVELS: Detail[] = ['low', 'auto', 'high'];

/** Where a picture comes in and is seen. */
export function PictureCard() {
  const { picture: text } = strings.value;
  const picture = judge.picture.value;
  return (
    <section class="card" id="photo-card" aria-labelledby="photo-heading">
      <div class="card-head">
        <h2 id="photo-heading">{text.heading}</h2>
        <label class="inline-field">
          {text.detail}
          <select
            id="detail"
            value={judge.detail.value}
            onChange={(event) => {
              judge.detail.value = event.currentTarget.value as Detail;
            }}
          >
            {LEVELS.map((level) => (
              <option key={level} value={level}>
                {text.levels[level]}
              </option>
            ))}
          </select>
        </label>
      </div>
      <label
        class="drop"
        id="drop"
        data-over={draggedOver.value}
        data-filled={picture !== undefined}
      >
        <input
          id="photo-input"
          class="visually-hidden"
          type="file"
          accept="image/*"
          multiple
          onChange={(event) => {
            const input = event.currentTarget;
            bring(picturesOf(input.files ?? []));
            // So that choosing the same file once more is a change again.
            input.value = '';
          }}
        />
        {picture ? <Preview picture={picture} /> : <Invitation />}
      </label>
      {picture && <Name picture={picture} />}
    </section>
  );
}

function Invitation() {
  const { picture: text } = strings.value;
  return (
    <span class="invitation">
      <span class="invitation-title">{text.invitation}</span>
      <span>{text.ways}</span>
    </span>
  );
}

function Name({ picture: { file, name } }: { picture: Picture }) {
  return (
    <p class="quiet" id="photo-name">
      {strings.value.picture.named(name, size(file.size))}
    </p>
  );
}
