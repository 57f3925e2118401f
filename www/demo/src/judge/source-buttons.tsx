import { useState } from 'preact/hooks';

import { bring } from '../shared/accept-pictures.js';
import { ErrorMessage } from '../shared/error-message.js';
import { FileButton } from '../shared/file-button.js';
import { picturesOf } from '../shared/pictures.js';
import { strings } from '../strings/index.js';
import { AddressDialog } from './sources/address-dialog.js';
import { CameraDialog } from './sources/camera-dialog.js';
import { takeScreen } from './sources/screen.js';

// Pages that are not served over HTTPS have no such devices.
const media = (navigator as { mediaDevices?: Partial<MediaDevices> }).mediaDevices;

/** The ways a picture comes in, other than dropping and pasting. */
export function SourceButtons() {
  const { picture: text } = strings.value;
  const [dialog, setDialog] = useState<'address' | 'camera'>();
  const [failure, setFailure] = useState<unknown>();
  const close = () => {
    setDialog(undefined);
  };
  const open = (which: 'address' | 'camera') => () => {
    setFailure(undefined);
    setDialog(which);
  };
  const screen = async () => {
    setFailure(undefined);
    try {
      await takeScreen();
    } catch (error) {
      setFailure(error);
    }
  };
  return (
    <>
      <div class="buttons sources">
        <FileButton
          id="photo-input"
          accept="image/*"
          multiple
          onFiles={(files) => {
            bring(picturesOf(files));
          }}
        >
          {text.choose}
        </FileButton>
        <button class="button small" id="from-address" type="button" onClick={open('address')}>
          {text.fromAddress}
        </button>
        {media?.getUserMedia && (
          <button class="button small" id="from-camera" type="button" onClick={open('camera')}>
            {text.fromCamera}
          </button>
        )}
        {media?.getDisplayMedia && (
          <button class="button small" id="from-screen" type="button" onClick={() => void screen()}>
            {text.fromScreen}
          </button>
        )}
      </div>
      <ErrorMessage id="source-error" error={failure} />
      {dialog === 'address' && <AddressDialog onClose={close} />}
      {dialog === 'camera' && <CameraDialog onClose={close} />}
    </>
  );
}
