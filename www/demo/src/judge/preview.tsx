import { useState } from 'preact/hooks';

import { policy } from '../policy/policy-store.js';
import { decide } from '../policy/thresholds.js';
import { useObjectUrl } from '../shared/object-url.js';
import type { Picture } from '../shared/pictures.js';
import { strings } from '../strings/index.js';
import { judge } from './judge-store.js';

/**
 * A picture as the browser shows it, blurred once it is judged Unsafe until it is asked for. What the
 * browser cannot show may still be judged, or get its error.
 */
export function Preview({ picture }: { picture: Picture }) {
  const url = useObjectUrl(picture.file);
  const [broken, setBroken] = useState<Blob>();
  const [revealed, setRevealed] = useState<Blob>();
  const { picture: text } = strings.value;
  const verdict = judge.main.verdict.value;
  const { rating } = verdict ? decide(verdict, policy.current.value.thresholds) : {};
  const unsafe = rating === 'Unsafe';
  const blurred = unsafe && revealed !== picture.file;
  if (broken === picture.file) return <p class="invitation">{text.noPreview}</p>;
  return (
    <>
      <img
        id="preview"
        class={blurred ? 'blurred' : undefined}
        src={url}
        alt={blurred ? text.blurred : text.alt(picture.name)}
        onError={() => {
          setBroken(picture.file);
        }}
      />
      {unsafe && (
        <button
          class="button small reveal"
          id="reveal"
          type="button"
          aria-pressed={!blurred}
          onClick={() => {
            setRevealed(blurred ? picture.file : undefined);
          }}
        >
          {blurred ? text.reveal : text.blur}
        </button>
      )}
    </>
  );
}
