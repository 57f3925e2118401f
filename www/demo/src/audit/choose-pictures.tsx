import { useSignal } from '@preact/signals';

import { ErrorMessage } from '../shared/error-message.js';
import { FileButton } from '../shared/file-button.js';
import { whole } from '../shared/format.js';
import { strings } from '../strings/index.js';
import { audit } from './audit-store.js';
import { canPickFolder, fromInput, pickFolder } from './folder.js';

/** The ways pictures come into the audit, beside dropping them on the page. */
export function ChoosePictures() {
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
  const add = (files: File[]) => {
    audit.add(fromInput(files));
  };
  return (
    <>
      <div class="audit-buttons">
        <FileButton
          id="audit-folder"
          accept=""
          folder
          onFiles={add}
          onPick={canPickFolder() ? () => void look() : undefined}
        >
          {text.chooseFolder}
        </FileButton>
        <FileButton id="audit-files" accept="image/*" multiple onFiles={add}>
          {text.chooseFiles}
        </FileButton>
      </div>
      <p class="quiet audit-looking" role="status">
        {looking.value !== undefined && text.looking(whole(looking.value))}
      </p>
      <ErrorMessage error={error.value} />
    </>
  );
}
