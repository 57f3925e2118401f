import type { Assessment, Rating } from 'llavaguard';

/**
 * From which probability of Unsafe on the page calls a picture Unsafe, by the id of its category.
 * Categories that are not in it have {@link MODEL_THRESHOLD}. The model knows nothing of these: they are
 * applied to its assessment.
 */
export type Thresholds = Readonly<Record<string, number>>;

/** Where the model's own rating changes from Safe to Unsafe. */
export const MODEL_THRESHOLD = 0.5;

/** What the page makes of an assessment. */
export interface Decision {
  rating: Rating;
  /** The threshold of the assessment's category. */
  threshold: number;
  /** The model's own rating. */
  modelRating: Rating;
  /** Whether that is another one. */
  overruled: boolean;
}

/** The threshold of a category. */
export function thresholdOf(thresholds: Thresholds, category: string): number {
  return thresholds[category] ?? MODEL_THRESHOLD;
}

/**
 * The page's decision: Unsafe where `unsafe_probability` is at least the threshold of the assessment's
 * category. At {@link MODEL_THRESHOLD} it is the model's own rating.
 */
export function decide(
  assessment: Pick<Assessment, 'rating' | 'category' | 'unsafe_probability'>,
  thresholds: Thresholds,
): Decision {
  const threshold = thresholdOf(thresholds, assessment.category.id);
  const rating =
    threshold === MODEL_THRESHOLD
      ? assessment.rating
      : assessment.unsafe_probability >= threshold
        ? 'Unsafe'
        : 'Safe';
  const modelRating = assessment.rating;
  return { rating, threshold, modelRating, overruled: rating !== modelRating };
}
