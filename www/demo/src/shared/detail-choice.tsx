import type { Signal } from '@preact/signals';
import type { Detail } from 'llavaguard';

import { strings } from '../strings/index.js';
import { Choice } from './fields.js';

const LEVELS: Detail[] = ['low', 'auto', 'high'];

/** How closely pictures are looked at, with its label. */
export function DetailChoice({ id, detail }: { id: string; detail: Signal<Detail> }) {
  const { picture: text } = strings.value;
  return (
    <label class="inline-field">
      {text.detail}
      <Choice
        id={id}
        value={detail.value}
        options={LEVELS.map((level) => [level, text.levels[level]])}
        onChange={(level) => {
          detail.value = level;
        }}
      />
    </label>
  );
}
