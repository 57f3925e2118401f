import { useEffect, useRef, useState } from 'preact/hooks';

import { bring } from '../../shared/accept-pictures.js';
import { Dialog } from '../../shared/dialog.js';
import { ErrorMessage } from '../../shared/error-message.js';
import { strings } from '../../strings/index.js';
import { end, pictureOf } from './frame.js';
import { mediaError } from './media-error.js';

/** Shows the camera and takes a picture of it; the camera is off again when this closes. */
export function CameraDialog({ onClose }: { onClose: () => void }) {
  const { media: text } = strings.value.picture;
  const video = useRef<HTMLVideoElement>(null);
  const [failure, setFailure] = useState<unknown>();
  const [ready, setReady] = useState(false);
  useEffect(() => {
    let stream: MediaStream | undefined;
    let closed = false;
    const open = async () => {
      try {
        stream = await navigator.mediaDevices.getUserMedia({
          video: { facingMode: 'environment', width: { ideal: 1920 } },
        });
        if (closed || !video.current) {
          end(stream);
          return;
        }
        video.current.srcObject = stream;
        await video.current.play();
        setReady(true);
      } catch (error) {
        if (!closed) setFailure(mediaError(error, 'camera'));
      }
    };
    void open();
    return () => {
      closed = true;
      end(stream);
    };
  }, []);
  const take = async () => {
    if (!video.current) return;
    try {
      const file = await pictureOf(video.current);
      onClose();
      bring([{ file, name: text.cameraName }]);
    } catch (error) {
      setFailure(error);
    }
  };
  return (
    <Dialog heading={text.camera.heading} onClose={onClose}>
      <div class="stack">
        <video
          ref={video}
          class="camera"
          muted
          playsInline
          aria-label={text.camera.preview}
          hidden={failure !== undefined}
        />
        <p class="quiet">{text.camera.honest}</p>
        <ErrorMessage id="camera-error" error={failure} />
        <div class="buttons">
          <button
            class="button primary"
            id="capture"
            type="button"
            disabled={!ready}
            onClick={() => void take()}
          >
            {text.camera.take}
          </button>
          <button class="button" type="button" onClick={onClose}>
            {text.cancel}
          </button>
        </div>
      </div>
    </Dialog>
  );
}
