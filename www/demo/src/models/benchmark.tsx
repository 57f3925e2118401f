import { useEffect, useRef, useState } from 'preact/hooks';

import { engine } from '../shared/engine.js';
import { ErrorMessage } from '../shared/error-message.js';
import { duration, giga, whole } from '../shared/format.js';
import { strings } from '../strings/index.js';
import { type Measurement, measure } from './measure.js';

/** Measures how fast the model runs here. */
export function Benchmark() {
  const { benchmark: text } = strings.value.models;
  const [found, setFound] = useState<Measurement>();
  const [failure, setFailure] = useState<unknown>();
  const [share, setShare] = useState<number>();
  const abort = useRef<AbortController | undefined>(undefined);
  useEffect(
    () => () => {
      abort.current?.abort();
    },
    [],
  );
  const run = async () => {
    const controller = new AbortController();
    abort.current = controller;
    setFailure(undefined);
    setFound(undefined);
    setShare(0);
    try {
      const measured = await measure(controller.signal, (done, of) => {
        setShare(done / of);
      });
      if (!controller.signal.aborted) setFound(measured);
    } catch (error) {
      if (!controller.signal.aborted) setFailure(error);
    }
    setShare(undefined);
  };
  const running = share !== undefined;
  return (
    <section class="card" id="benchmark" aria-labelledby="benchmark-heading">
      <div class="card-head">
        <h2 id="benchmark-heading">{text.heading}</h2>
        <button
          class="button small"
          id="measure"
          type="button"
          disabled={!engine.guard.value}
          onClick={() => {
            if (running) abort.current?.abort();
            else void run();
          }}
        >
          {running ? text.stop : text.measure}
        </button>
      </div>
      <p class="quiet">{text.means}</p>
      {running && <progress max={1} value={share} aria-label={text.progress} />}
      <ErrorMessage id="benchmark-error" error={failure} />
      <div role="status">{found && <Results found={found} />}</div>
    </section>
  );
}

function Results({ found }: { found: Measurement }) {
  const { benchmark: text } = strings.value.models;
  const rows: [string, string][] = [
    [text.build, found.build],
    [text.verdict, duration(found.verdict)],
    [text.total, duration(found.total)],
    [text.vision, duration(found.vision)],
    [text.prefill, text.tokensPerSecond(whole(found.prefill))],
    [text.decode, text.tokensPerSecond(whole(found.decode))],
    [
      text.products,
      found.operationsPerSecond === undefined
        ? text.productsUnknown
        : text.perSecond(giga(found.operationsPerSecond)),
    ],
  ];
  return (
    <dl class="facts" id="benchmark-results">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
