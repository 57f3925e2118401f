import { LlavaGuard, type Probe } from 'llavaguard';
import { useEffect, useRef, useState } from 'preact/hooks';

import { engine } from '../shared/engine.js';
import { ErrorMessage } from '../shared/error-message.js';
import { FileButton } from '../shared/file-button.js';
import { strings } from '../strings/index.js';
import { modelAddress } from './model-address.js';
import {
  handlePicker,
  loadModelFile,
  loadRememberedFile,
  lookForRememberedFile,
  rememberedFile,
} from './model-file.js';
import { ProbeResult } from './probe-result.js';

/** What is known of an address that was given. */
interface Asked {
  url: URL;
  /** None for a plain file, about which nothing is known before it is fetched. */
  probe: Probe | undefined;
}

/** Brings another model: by the address of its manifest or file, or from this machine. */
export function AddModel() {
  const { models: text } = strings.value;
  const [asked, setAsked] = useState<Asked>();
  const [asking, setAsking] = useState<AbortController>();
  const [failure, setFailure] = useState<unknown>();
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => void lookForRememberedFile(), []);
  const ask = async () => {
    asking?.abort();
    const controller = new AbortController();
    setAsking(controller);
    setAsked(undefined);
    setFailure(undefined);
    try {
      const url = modelAddress(field.current?.value ?? '');
      const { signal } = controller;
      const manifest = url.pathname.endsWith('.json');
      const probe = manifest ? await LlavaGuard.probe(url, { signal }) : undefined;
      if (!signal.aborted) setAsked({ url, probe });
    } catch (error) {
      if (!controller.signal.aborted) setFailure(error);
    } finally {
      setAsking((current) => (current === controller ? undefined : current));
    }
  };
  const use = ({ url, probe }: Asked) => {
    setAsked(undefined);
    const name = probe?.model.name ?? url.pathname.split('/').at(-1) ?? url.host;
    void engine.load({ model: url, name });
  };
  const picker = handlePicker(text.fileKind);
  const remembered = rememberedFile.value;
  return (
    <section class="card" id="add-model" aria-labelledby="add-heading">
      <div class="card-head">
        <h2 id="add-heading">{text.add}</h2>
        <div class="buttons">
          {remembered && (
            <button
              class="button small"
              id="model-again"
              type="button"
              onClick={() => {
                setFailure(undefined);
                loadRememberedFile().catch(setFailure);
              }}
            >
              {text.useAgain(remembered.name)}
            </button>
          )}
          <FileButton
            id="model-input"
            accept=".gguf"
            onFiles={([file]) => {
              if (file) void loadModelFile(file);
            }}
            onPick={picker && (() => void picker())}
          >
            {text.file}
          </FileButton>
        </div>
      </div>
      <p class="quiet">{text.addMeans}</p>
      <form
        class="address"
        onSubmit={(event) => {
          event.preventDefault();
          void ask();
        }}
      >
        <label class="field">
          <span>{text.address}</span>
          <input
            ref={field}
            id="model-address"
            type="text"
            inputMode="url"
            autocomplete="off"
            spellcheck={false}
            placeholder="https://…/manifest.json"
            required
          />
        </label>
        <button class="button" type="submit" disabled={asking !== undefined}>
          {asking ? text.checking : text.check}
        </button>
      </form>
      <ErrorMessage id="probe-error" error={failure} />
      {asked && (
        <ProbeResult
          url={asked.url}
          probe={asked.probe}
          onUse={() => {
            use(asked);
          }}
        />
      )}
    </section>
  );
}
