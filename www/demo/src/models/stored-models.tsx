import { deleteStoredModel, type StoredModel, storedModels } from 'llavaguard';
import { useEffect, useState } from 'preact/hooks';

import { engine } from '../shared/engine.js';
import { ErrorMessage } from '../shared/error-message.js';
import { size } from '../shared/format.js';
import { strings } from '../strings/index.js';

/** What this browser keeps: the models, and the room they take. */
export function StoredModels() {
  const { stored: text } = strings.value.models;
  const [models, setModels] = useState<StoredModel[]>();
  const [room, setRoom] = useState<StorageEstimate>();
  const [failure, setFailure] = useState<unknown>();
  const loads = engine.loads.value;
  const look = async () => {
    setModels(await storedModels());
    // Pages that are not served over HTTPS have no storage, and Safari tells only since version 17.
    const { storage } = navigator as { storage?: Partial<StorageManager> };
    setRoom(await storage?.estimate?.().catch(() => undefined));
  };
  useEffect(() => void look(), [loads]);
  const remove = async ({ id }: StoredModel) => {
    try {
      await deleteStoredModel(id);
      setFailure(undefined);
    } catch (error) {
      setFailure(error);
    }
    await look();
  };
  const bytes = models?.reduce((sum, { storedBytes }) => sum + storedBytes, 0) ?? 0;
  return (
    <section class="card" id="stored" aria-labelledby="stored-heading">
      <div class="card-head">
        <h2 id="stored-heading">{text.heading}</h2>
      </div>
      <p id="stored-summary">
        {models?.length === 0 ? text.nothing : text.kept(size(bytes))}
        {room?.quota !== undefined && ` ${text.free(size(room.quota - (room.usage ?? 0)))}`}
      </p>
      {models && models.length > 0 && (
        <ul class="stored" id="stored-list">
          {models.map((model) => (
            <li key={model.id}>
              <span>
                <strong>{model.name}</strong>
                <span class="quiet">{stateText(model)}</span>
              </span>
              <button
                class="button small"
                type="button"
                aria-label={text.deleteOf(model.name)}
                onClick={() => void remove(model)}
              >
                {text.delete}
              </button>
            </li>
          ))}
        </ul>
      )}
      <ErrorMessage id="stored-error" error={failure} />
    </section>
  );
}

function stateText({ complete, bytes, storedBytes, verified }: StoredModel): string {
  const { stored: text } = strings.value.models;
  const amount = complete
    ? size(bytes)
    : text.incomplete(size(storedBytes), bytes > 0 ? size(bytes) : '?');
  return `${amount}, ${verified ? text.verified : text.notVerified}`;
}
