import { bring } from '../../shared/accept-pictures.js';
import { strings } from '../../strings/index.js';
import { end, frameOf } from './frame.js';
import { mediaError } from './media-error.js';

/** Takes one frame of a screen, a window or a tab the user chooses; the sharing ends at once. */
export async function takeScreen(): Promise<void> {
  let stream: MediaStream | undefined;
  try {
    stream = await navigator.mediaDevices.getDisplayMedia({ video: true });
    const file = await frameOf(stream);
    bring([{ file, name: strings.value.picture.media.screenName }]);
  } catch (error) {
    throw mediaError(error, 'screen');
  } finally {
    end(stream);
  }
}
