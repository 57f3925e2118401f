import { useSignal } from '@preact/signals';
import type { RefObject } from 'preact';
import { useEffect } from 'preact/hooks';

import { CategoryBars } from '../judge/category-bars.js';
import { judge } from '../judge/judge-store.js';
import { ProbabilityScale } from '../judge/probability-scale.js';
import { thresholdOf } from '../policy/thresholds.js';
import { FailureMessage } from '../shared/error-message.js';
import { useObjectUrl } from '../shared/object-url.js';
import { go } from '../shared/route.js';
import { strings } from '../strings/index.js';
import { audit } from './audit-store.js';
import {
  categoryOf,
  fileOf,
  finalRating,
  type Kept,
  modelRating,
  probabilitiesOf,
  reviewState,
  type Row,
} from './row.js';
import { isStale } from './rows.js';

/** A row is changed in place; that it was can be told by the version alone. */
interface Shown {
  row: Row;
  version: number;
}

/** The row that is looked at: its picture, its verdict, and a person's word on it. */
export function Details({
  note,
  onBack,
}: {
  note: RefObject<HTMLTextAreaElement | null>;
  onBack: () => void;
}) {
  const { details: text } = strings.value.audit;
  const { row, version } = audit.selected.value;
  if (!row) {
    return (
      <aside class="audit-details" aria-label={text.heading}>
        <p class="quiet">{text.choose}</p>
      </aside>
    );
  }
  const rows = audit.shown.value;
  const at = rows.indexOf(row);
  return (
    <aside
      class="audit-details"
      id="audit-details"
      aria-label={text.heading}
      data-rating={finalRating(row, audit.inForce.value.thresholds)}
    >
      <div class="audit-steps">
        <button
          class="button small"
          type="button"
          disabled={at <= 0}
          onClick={() => {
            audit.select(rows[at - 1]);
          }}
        >
          {text.previous}
        </button>
        <button
          class="button small"
          type="button"
          disabled={at < 0 || at >= rows.length - 1}
          onClick={() => {
            audit.select(rows[at + 1]);
          }}
        >
          {text.next}
        </button>
        <button
          class="button small audit-back"
          type="button"
          onClick={() => {
            audit.select(undefined);
            onBack();
          }}
        >
          {text.back}
        </button>
      </div>
      <LargePicture key={row.id} row={row} version={version} />
      <p class="audit-path">{row.path}</p>
      {row.error && <FailureMessage failure={row.error} />}
      {row.kept && <Verdict row={row} kept={row.kept} version={version} />}
      <Review row={row} version={version} note={note} onBack={onBack} />
    </aside>
  );
}

function LargePicture({ row }: Shown) {
  const { details: text } = strings.value.audit;
  const file = useSignal<Blob | undefined>(undefined);
  const broken = useSignal(false);
  useEffect(() => {
    let wanted = true;
    fileOf(row).then(
      (found) => {
        if (wanted) file.value = found;
      },
      () => {
        broken.value = true;
      },
    );
    return () => {
      wanted = false;
    };
  }, [row]);
  const hidden =
    audit.blur.value
    && audit.revealed.value !== row
    && finalRating(row, audit.inForce.value.thresholds) !== 'Safe';
  return (
    <div class="audit-large" data-blurred={hidden}>
      {broken.value ? (
        <p class="quiet">{text.noPreview}</p>
      ) : (
        file.value && (
          <Large
            file={file.value}
            name={row.path}
            onError={() => {
              broken.value = true;
            }}
          />
        )
      )}
      {audit.blur.value
        && !broken.value
        && finalRating(row, audit.inForce.value.thresholds) !== 'Safe' && (
          <button
            class="button small"
            id="audit-reveal"
            type="button"
            aria-pressed={!hidden}
            onClick={() => {
              audit.revealed.value = hidden ? row : undefined;
            }}
          >
            {hidden ? text.reveal : text.hide}
          </button>
        )}
    </div>
  );
}

function Large({ file, name, onError }: { file: Blob; name: string; onError: () => void }) {
  const url = useObjectUrl(file);
  return url === undefined ? null : (
    <img src={url} alt={strings.value.audit.details.alt(name)} decoding="async" onError={onError} />
  );
}

function Verdict({ row, kept }: Shown & { kept: Kept }) {
  const { audit: texts, verdict } = strings.value;
  const { details: text } = texts;
  const { thresholds, present } = audit.inForce.value;
  const rating = modelRating(row, thresholds);
  const { policyName, modelId, detail } = kept.under;
  return (
    <div class="audit-verdict" data-rating={rating}>
      <p class="verdict">
        <span class="badge">{rating && verdict.ratings[rating]}</span>{' '}
        <span>{categoryOf(kept).name}</span>
      </p>
      <ProbabilityScale
        id="audit-probability"
        probability={kept.unsafeProbability}
        threshold={thresholdOf(thresholds, categoryOf(kept).id)}
      />
      <CategoryBars probabilities={probabilitiesOf(kept)} />
      {kept.rationale !== null && (
        <>
          <h3>{text.reason}</h3>
          <p class="rationale" lang="en">
            {kept.rationale.trim()}
          </p>
        </>
      )}
      <p class="quiet">
        {text.judgedBy(policyName, modelId, detail)}{' '}
        {isStale(row, present) && <strong>{text.stale}</strong>}
      </p>
    </div>
  );
}

function Review({
  row,
  note,
  onBack,
}: Shown & {
  note: RefObject<HTMLTextAreaElement | null>;
  onBack: () => void;
}) {
  const { audit: texts, verdict } = strings.value;
  const { details: text } = texts;
  const { thresholds } = audit.inForce.value;
  const says = modelRating(row, thresholds);
  const { review } = row;
  const state = reviewState(row, thresholds);
  return (
    <div class="audit-review" role="group" aria-label={texts.columns.review}>
      <p id="audit-reviewed" role="status" data-review={state}>
        {state === 'overruled' && review
          ? text.reviewed.overruled(verdict.ratings[review])
          : text.reviewed[state === 'confirmed' ? 'confirmed' : 'open']}
      </p>
      <div class="audit-buttons">
        {says ? (
          <>
            <button
              class="button"
              id="audit-confirm"
              type="button"
              aria-pressed={state === 'confirmed'}
              onClick={() => {
                audit.confirm(row);
              }}
            >
              {text.confirm}
            </button>
            <button
              class="button"
              id="audit-overrule"
              type="button"
              aria-pressed={state === 'overruled'}
              onClick={() => {
                audit.overrule(row);
              }}
            >
              {text.overrule}
            </button>
          </>
        ) : (
          <>
            <button
              class="button"
              type="button"
              aria-pressed={review === 'Safe'}
              onClick={() => {
                audit.rate(row, 'Safe');
              }}
            >
              {text.asSafe}
            </button>
            <button
              class="button"
              type="button"
              aria-pressed={review === 'Unsafe'}
              onClick={() => {
                audit.rate(row, 'Unsafe');
              }}
            >
              {text.asUnsafe}
            </button>
          </>
        )}
        {review && (
          <button
            class="button small"
            id="audit-take-back"
            type="button"
            onClick={() => {
              audit.takeBack(row);
            }}
          >
            {text.takeBack}
          </button>
        )}
      </div>
      <label class="audit-field">
        {text.note}
        <textarea
          id="audit-note"
          ref={note}
          rows={2}
          maxLength={2000}
          value={row.note}
          onInput={(event) => {
            audit.note(row, event.currentTarget.value);
          }}
          onKeyDown={(event) => {
            if (event.key === 'Escape') onBack();
          }}
        />
      </label>
      <div class="audit-buttons">
        <button
          class="button small"
          id="audit-again"
          type="button"
          disabled={row.state === 'judging' || row.state === 'waiting'}
          onClick={() => {
            audit.again([row]);
          }}
        >
          {text.again}
        </button>
        <button
          class="button small"
          id="audit-open"
          type="button"
          onClick={() => {
            void fileOf(row).then((file) => {
              judge.show({ file, name: row.path });
              go('judge');
            });
          }}
        >
          {text.open}
        </button>
      </div>
    </div>
  );
}
