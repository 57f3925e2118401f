import type { CategoryProbability, Detail, Rating } from 'llavaguard';

import { thresholdOf } from '../policy/thresholds.js';
import {
  categoryOf,
  finalRating,
  modelRating,
  probabilitiesOf,
  reviewState,
  type ReviewState,
  type Row,
} from './row.js';
import { isStale } from './rows.js';
import type { InForce } from './view.js';

/** What is exported of a row, for programs. Names are those of an assessment where it has them. */
export interface AuditRecord {
  image: string;
  /** `null` where the model gave none: the image was not judged or could not be. */
  rating: Rating | null;
  /** A reviewer's rating where there is one, else the model's. */
  final_rating: Rating | null;
  /** A person's word and note; `open` where there is a note alone. */
  review: { state: ReviewState; rating: Rating | null; note: string } | null;
  error: { code: string; message: string } | null;
  category: { id: string; name: string } | null;
  unsafe_probability: number | null;
  /** From it on the rating is Unsafe. */
  threshold: number | null;
  category_probabilities: CategoryProbability[] | null;
  rationale: string | null;
  rationale_truncated: boolean | null;
  policy_id: string | null;
  policy_name: string | null;
  model_id: string | null;
  detail: { level: Detail; tiles: number } | null;
  /** Whether policy, model and detail are those in force when it was exported. */
  current: boolean | null;
  milliseconds: number | null;
}

/** A row as it is exported. */
export function recordOf(row: Row, { thresholds, present }: InForce): AuditRecord {
  const { kept, review, note } = row;
  const category = kept && categoryOf(kept);
  return {
    image: row.path,
    rating: modelRating(row, thresholds) ?? null,
    final_rating: finalRating(row, thresholds) ?? null,
    review:
      review || note ? { state: reviewState(row, thresholds), rating: review ?? null, note } : null,
    error: row.error ?? null,
    category: category ?? null,
    unsafe_probability: kept ? kept.unsafeProbability : null,
    threshold: category ? thresholdOf(thresholds, category.id) : null,
    category_probabilities: kept ? probabilitiesOf(kept) : null,
    rationale: kept?.rationale ?? null,
    rationale_truncated: kept?.rationaleTruncated ?? null,
    policy_id: kept?.under.policyId ?? null,
    policy_name: kept?.under.policyName ?? null,
    model_id: kept?.under.modelId ?? null,
    detail: kept ? { level: kept.under.detail, tiles: kept.tiles } : null,
    current: kept ? !isStale(row, present) : null,
    milliseconds: kept ? Math.round(kept.milliseconds) : null,
  };
}

/** One line of JSON a row. */
export function jsonLines(records: Iterable<AuditRecord>): string {
  let text = '';
  for (const record of records) text += `${JSON.stringify(record)}\n`;
  return text;
}
