import type { Assessment, CategoryProbability, Detail, Rating } from 'llavaguard';

import { decide, type Thresholds } from '../policy/thresholds.js';
import type { Failure } from '../shared/error-text.js';

/** What a file is read from when its turn comes; nothing of its bytes is held. */
export type Source = Blob | FileSystemFileHandle;

/** What assessments under one policy, by one model, at one detail have in common; held once. */
export interface Circumstances {
  readonly policyId: string;
  readonly policyName: string;
  readonly modelId: string;
  readonly detail: Detail;
  /** In the policy's order; the last may be `NA`. */
  readonly categories: readonly { readonly id: string; readonly name: string }[];
}

/** An assessment as it is kept for a row: some hundred bytes. */
export interface Kept {
  readonly under: Circumstances;
  /** Index into `under.categories`. */
  readonly category: number;
  /** The model's own. */
  readonly rating: Rating;
  readonly unsafeProbability: number;
  /** One for each of `under.categories`. */
  readonly probabilities: Float32Array;
  readonly rationale: string | null;
  readonly rationaleTruncated: boolean;
  readonly tiles: number;
  readonly milliseconds: number;
}

/** The file of a row; rejects where it can no longer be read. */
export async function fileOf({ source }: Row): Promise<Blob> {
  return source instanceof Blob ? source : source.getFile();
}

/** How a row stands. A row that is judged again keeps what it had until then. */
export type RowState = 'waiting' | 'judging' | 'judged' | 'failed';

/** One picture of an audit. */
export interface Row {
  readonly id: number;
  /** From the chosen folder on; untrusted text. */
  readonly path: string;
  readonly source: Source;
  state: RowState;
  kept: Kept | undefined;
  /** Why it could not be judged. */
  error: Failure | undefined;
  /** What a person says it is. It stands whatever the model says later. */
  review: Rating | undefined;
  /** What a person wrote to it. */
  note: string;
  /** A small picture; `null` where the browser cannot make one. */
  thumbnail: Blob | null | undefined;
}

/** Interns circumstances, so that a thousand rows share one. */
export class CircumstancesTable {
  readonly #known = new Map<string, Circumstances>();

  of(assessment: Assessment): Circumstances {
    const categories = assessment.category_probabilities.map(({ id, name }) => ({ id, name }));
    const key = circumstancesKey(assessment, categories);
    let found = this.#known.get(key);
    if (!found) {
      found = {
        policyId: assessment.policy_id,
        policyName: assessment.policy_name,
        modelId: assessment.model_id,
        detail: assessment.detail.level,
        categories,
      };
      this.#known.set(key, found);
    }
    return found;
  }
}

function circumstancesKey(assessment: Assessment, categories: { id: string; name: string }[]) {
  const { policy_id, policy_name, model_id, detail } = assessment;
  return JSON.stringify([policy_id, policy_name, model_id, detail.level, categories]);
}

/** What is kept of an assessment. */
export function keep(assessment: Assessment, table: CircumstancesTable): Kept {
  const under = table.of(assessment);
  return {
    under,
    category: under.categories.findIndex(({ id }) => id === assessment.category.id),
    rating: assessment.rating,
    unsafeProbability: assessment.unsafe_probability,
    probabilities: Float32Array.from(
      assessment.category_probabilities,
      ({ probability }) => probability,
    ),
    rationale: assessment.rationale,
    rationaleTruncated: assessment.rationale_truncated,
    tiles: assessment.detail.tiles,
    milliseconds: assessment.timings_ms.total,
  };
}

const NOT_APPLICABLE = { id: 'NA', name: 'NA' };

/** The category of a kept assessment. */
export function categoryOf(kept: Kept): { id: string; name: string } {
  return kept.under.categories[kept.category] ?? NOT_APPLICABLE;
}

/** How probable each category is, as an assessment has it. */
export function probabilitiesOf({ under, probabilities }: Kept): CategoryProbability[] {
  return under.categories.map(({ id, name }, at) => ({
    id,
    name,
    // Kept in single precision, which has seven digits.
    probability: Number((probabilities[at] ?? 0).toPrecision(7)),
  }));
}

/** What the model says of a row under the thresholds in force; nothing where it was not judged. */
export function modelRating({ kept }: Row, thresholds: Thresholds): Rating | undefined {
  if (!kept) return undefined;
  const { rating, unsafeProbability: unsafe_probability } = kept;
  return decide({ rating, category: categoryOf(kept), unsafe_probability }, thresholds).rating;
}

/** What counts for a row: a person's word, else the model's. */
export function finalRating(row: Row, thresholds: Thresholds): Rating | undefined {
  return row.review ?? modelRating(row, thresholds);
}

/** How a person's word stands to the model's. */
export type ReviewState = 'open' | 'confirmed' | 'overruled';

export function reviewState(row: Row, thresholds: Thresholds): ReviewState {
  if (!row.review) return 'open';
  return row.review === modelRating(row, thresholds) ? 'confirmed' : 'overruled';
}
