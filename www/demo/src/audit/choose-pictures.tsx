import { useSignal } from '@preact/signals';

import { ErrorMessage } from '../shared/error-message.js';
import { whole } from '../shared/format.js';
import { strings } from '../strings/index.js';
import { audit } from './audit-store.js';
import { canPickFolder, fromInput, pickFolder } from './folder.js';

/** The ways pictures come into the audit, beside dropping them on the page. */
export function ChoosePictures({ small = false }: { small?: boolean }) {
  const { audit: text } = strings.value;
  const looking = useSignal<number | undefined>(undefined);
  const error = useSignal<unknown>(undefined);
  const look = async () => {
    error.value = undefined;
    try {
      const choice = await pickFolder((count) => {
        looking.value = count;
      });
      if (choice) audit.add(choice);
    } catch (thrown) {
      error.value = thrown;
    } finally {
      looking.value = undefined;
    }
  };
  const button = small ? 'button small' : 'button';
  return (
    <>
      <div class="audit-buttons">
        {canPickFolder() ? (
          <button
            class={button}
            id="audit-pick"
            type="button"
            disabled={looking.value !== undefined}
            onClick={() => void look()}
          >
            {text.chooseFolder}
          </button>
        ) : (
          <label class={button}>
            {text.chooseFolder}
            <FilesInput id="audit-folder" folder />
          </label>
        )}
        <label class={button}>
          {text.chooseFiles}
          <FilesInput id="audit-files" />
        </label>
      </div>
      <p class="quiet" role="status">
        {looking.value !== undefined && text.looking(whole(looking.value))}
      </p>
      <ErrorMessage error={error.value} />
    </>
  );
}

function FilesInput({ id, folder = false }: { id: string; folder?: boolean }) {
  return (
    <input
      id={id}
      class="visually-hidden"
      type="file"
      multiple
      {...(folder ? { webkitdirectory: true } : { accept: 'image/*' })}
      onChange={(event) => {
        const input = event.currentTarget;
        audit.add(fromInput(input.files ?? []));
        // So that choosing the same once more is a change again.
        input.value = '';
      }}
    />
  );
}
