import { useState } from 'preact/hooks';

import { useObjectUrl } from '../shared/object-url.js';
import type { Picture } from '../shared/pictures.js';
import { strings } from '../strings/index.js';

/** A picture as the browser shows it; what it cannot show may still be judged, or get its error. */
export function Preview({ picture }: { picture: Picture }) {
  const url = useObjectUrl(picture.file);
  const [broken, setBroken] = useState<Blob>();
  const { picture: text } = strings.value;
  if (broken === picture.file) return <span class="invitation">{text.noPreview}</span>;
  return (
    <img
      id="preview"
      src={url}
      alt={text.alt(picture.name)}
      onError={() => {
        setBroken(picture.file);
      }}
    />
  );
}
