import { strings } from '../strings/index.js';
import { draggedOver } from './accept-pictures.js';

/** Says, while something is dragged over the page, that it may be dropped anywhere. */
export function DropHint() {
  if (!draggedOver.value) return null;
  return (
    <div class="drop-hint" aria-hidden="true">
      <p>{strings.value.dropAnywhere}</p>
    </div>
  );
}
