import { useEffect, useRef, useState } from 'preact/hooks';

import { bring } from '../../shared/accept-pictures.js';
import { Dialog } from '../../shared/dialog.js';
import { ErrorMessage } from '../../shared/error-message.js';
import { strings } from '../../strings/index.js';
import { fetchPicture, pictureAddress } from './fetch-picture.js';

/** Asks for a picture's address and fetches it. */
export function AddressDialog({ onClose }: { onClose: () => void }) {
  const { address: text } = strings.value.picture;
  const [failure, setFailure] = useState<unknown>();
  const [fetching, setFetching] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const abort = useRef(new AbortController());
  useEffect(
    () => () => {
      abort.current.abort();
    },
    [],
  );
  const take = async () => {
    setFailure(undefined);
    const { signal } = abort.current;
    try {
      const url = pictureAddress(field.current?.value ?? '');
      setFetching(true);
      const picture = await fetchPicture(url, signal);
      onClose();
      bring([picture]);
    } catch (error) {
      if (signal.aborted) return;
      setFailure(error);
      setFetching(false);
    }
  };
  return (
    <Dialog heading={text.heading} onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void take();
        }}
      >
        <label class="field">
          <span>{text.label}</span>
          <input
            ref={field}
            id="address"
            type="text"
            inputMode="url"
            autocomplete="off"
            spellcheck={false}
            placeholder="https://"
            required
          />
        </label>
        <p class="quiet">{text.honest}</p>
        <ErrorMessage id="address-error" error={failure} />
        <div class="buttons">
          <button class="button primary" type="submit" disabled={fetching}>
            {fetching ? text.fetching : text.fetch}
          </button>
          <button class="button" type="button" onClick={onClose}>
            {text.cancel}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
