import { ErrorMessage } from '../shared/error-message.js';
import { FileButton } from '../shared/file-button.js';
import { saveFile } from '../shared/save-file.js';
import { strings } from '../strings/index.js';
import { withName } from './edits.js';
import { policy } from './policy-store.js';
import { PRESET_IDS, type PresetId, presetOf, PRESETS } from './presets.js';
import { exportText, importText, linkTo } from './sharing.js';
import { failure, link, tell, tellFailure, told } from './told.js';

/** Presets, name, undo, and ways in and out for the whole policy. */
export function PolicyToolbar() {
  const { policy: text } = strings.value;
  const read = async (file: File | undefined) => {
    if (!file) return;
    try {
      if (await policy.apply(importText(await file.text()))) tell(text.imported(file.name));
      else tell('');
    } catch (error) {
      tellFailure(error);
    }
  };
  const share = async () => {
    const of = policy.current.value;
    const address = await linkTo(of);
    const copied = await navigator.clipboard.writeText(address).then(
      () => true,
      () => false,
    );
    tell('');
    link.value = { address, of, copied };
  };
  const save = () => {
    const { current, description } = policy;
    const name = fileName(description.value?.name ?? 'policy');
    saveFile(`${name}.json`, exportText(current.value), 'application/json');
    const plain = Object.keys(current.value.thresholds).length === 0;
    tell(plain ? text.exportedPlain(name) : text.exportedWithThresholds(name));
  };
  return (
    <div class="policy-tools">
      <div class="policy-choice">
        <PresetChooser />
        <NameField />
      </div>
      <div class="buttons">
        <button
          class="button small"
          type="button"
          id="policy-undo"
          disabled={!policy.canUndo.value}
          onClick={() => void policy.undo()}
        >
          {text.undo}
        </button>
        <button
          class="button small"
          type="button"
          id="policy-redo"
          disabled={!policy.canRedo.value}
          onClick={() => void policy.redo()}
        >
          {text.redo}
        </button>
        <FileButton
          id="policy-import"
          accept=".json,application/json"
          onFiles={([file]) => void read(file)}
        >
          {text.import}
        </FileButton>
        <button class="button small" type="button" onClick={save}>
          {text.export}
        </button>
        <button class="button small" type="button" onClick={() => void share()}>
          {text.share}
        </button>
      </div>
      <p class="quiet told" id="policy-told" role="status">
        {told.value}
      </p>
      <SharedLink />
      <ErrorMessage id="policy-failure" error={failure.value} />
    </div>
  );
}

/** The link that was made, until the policy is another one. */
function SharedLink() {
  const { policy: text } = strings.value;
  const made = link.value?.of === policy.current.value ? link.value : undefined;
  return (
    <div role="status">
      {made && (
        <>
          <p class="quiet">{made.copied ? text.linkCopied : text.linkShown}</p>
          <input
            class="link"
            id="policy-link"
            readOnly
            value={made.address}
            aria-label={text.link}
            onFocus={(event) => {
              event.currentTarget.select();
            }}
          />
        </>
      )}
    </div>
  );
}

function PresetChooser() {
  const { policy: text } = strings.value;
  const preset = presetOf(policy.current.value.document);
  return (
    <label class="field">
      <span>{text.preset}</span>
      <select
        id="policy-preset"
        value={preset ?? 'own'}
        disabled={!policy.description.value}
        onChange={(event) => {
          const id = event.currentTarget.value as PresetId;
          void policy.apply({ document: PRESETS[id], thresholds: {} });
        }}
      >
        {preset === undefined && <option value="own">{text.ownPolicy}</option>}
        {PRESET_IDS.map((id) => (
          <option key={id} value={id}>
            {text.presets[id]}
          </option>
        ))}
      </select>
    </label>
  );
}

function NameField() {
  const { policy: text } = strings.value;
  const { document } = policy.current.value;
  return (
    <label class="field">
      <span>{text.name}</span>
      <input
        id="policy-name"
        value={document.name ?? ''}
        placeholder={policy.description.value?.name}
        maxLength={100}
        disabled={!policy.description.value}
        onChange={(event) => {
          const { current } = policy;
          const name = event.currentTarget.value.trim();
          void policy.apply({
            document: withName(current.value.document, name),
            thresholds: current.value.thresholds,
          });
        }}
      />
    </label>
  );
}

function fileName(name: string): string {
  const plain = name.toLowerCase().replace(/[^\p{L}\p{N}.]+/gu, '-');
  return plain.replace(/^-|-$/g, '') || 'policy';
}
