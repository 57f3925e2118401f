import type { Probe } from 'llavaguard';

import { engine } from '../shared/engine.js';
import { sentenceOf } from '../shared/error-text.js';
import { duration, size } from '../shared/format.js';
import { Words } from '../shared/words.js';
import { strings } from '../strings/index.js';

interface Props {
  url: URL;
  probe: Probe | undefined;
  onUse: () => void;
}

/** What is known of a model before any of it is fetched, and the button that fetches it. */
export function ProbeResult({ url, probe, onUse }: Props) {
  const { probe: text } = strings.value.models;
  return (
    <div class="probe" id="probe" role="group" aria-label={text.heading}>
      {probe ? <Findings probe={probe} /> : <p>{text.plain(url.host)}</p>}
      <div class="buttons">
        <button
          class="button primary"
          id="download"
          type="button"
          disabled={probe?.canRun === false || engine.state.value === 'loading'}
          onClick={onUse}
        >
          {probe?.storage.needed === 0 ? text.use : text.download}
        </button>
      </div>
    </div>
  );
}

function Findings({ probe }: { probe: Probe }) {
  const { probe: text } = strings.value.models;
  const { model, memory, storage, speed, reasons, canRun } = probe;
  const facts: [string, string][] = [
    [text.bytes, text.bytesValue(size(model.bytes), size(storage.stored))],
    [
      text.memory,
      memory.device === undefined
        ? size(memory.needed)
        : text.ofAbout(size(memory.needed), size(memory.device)),
    ],
    [
      text.storage,
      storage.free === undefined
        ? size(storage.needed)
        : text.ofAbout(size(storage.needed), size(storage.free)),
    ],
    [text.speed, text.about(duration(1000 * speed.secondsToVerdict))],
  ];
  if (model.license) facts.push([text.license, model.license.text]);
  if (model.signedBy !== undefined) facts.push([text.signedBy, model.signedBy]);
  return (
    <>
      <p class="model-name">{model.name}</p>
      <p data-can-run={canRun} id="probe-answer">
        {canRun ? text.canRun : text.cannotRun}
      </p>
      {reasons.length > 0 && (
        <ul class="reasons">
          {reasons.map((reason) => (
            <li key={reason.code} data-code={reason.code}>
              <Words text={sentenceOf(reason)} />
            </li>
          ))}
        </ul>
      )}
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
