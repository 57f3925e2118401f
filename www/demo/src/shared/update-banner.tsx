import { strings } from '../strings/index.js';
import { changeToUpdate, updateWaits } from './offline.js';

/** Offers a new version of the page, when one waits. */
export function UpdateBanner() {
  const { update } = strings.value;
  return (
    <p class="notice" id="page-update" role="status" hidden={!updateWaits.value}>
      {update.text}
      <button class="button small" id="page-update-now" type="button" onClick={changeToUpdate}>
        {update.use}
      </button>
    </p>
  );
}
