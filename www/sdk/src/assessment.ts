/** Whether an image complies with a policy. */
export type Rating = 'Safe' | 'Unsafe';

/**
 * How closely an image is looked at: `low`, the whole image once, scaled to one tile; `auto`, tiles
 * within a budget that fits the device; `high`, tiles exactly as in training.
 */
export type Detail = 'low' | 'auto' | 'high';

/** A category of a policy; the id is `NA` where none applies. */
export interface Category {
  /** E.g. `O6`. */
  id: string;
  /** E.g. `O6: Weapons or Substance Abuse`. */
  name: string;
}

/** How probable a category is. */
export interface CategoryProbability extends Category {
  /** From 0 to 1; those of an assessment add up to 1. */
  probability: number;
}

/** Milliseconds spent. A stage that was not needed took 0. */
export interface Timings {
  /** Decoding the image file. */
  decode_image: number;
  /** Resizing and tiling. */
  preprocess: number;
  /** Vision tower and projector. */
  vision: number;
  /** Language model over image and prompt. */
  prefill: number;
  /** Rating and category. */
  verdict: number;
  /** Rationale. */
  rationale: number;
  /** From the start of the work to the result. */
  total: number;
}

/**
 * The assessment of one image under one policy, in the form published as
 * `crates/policy/schema/assessment.schema.json` and shared with the command line.
 */
export interface Assessment {
  /** Version of this form. */
  version: 1;
  /** Whether the image complies with the policy. */
  rating: Rating;
  /** The category the image belongs to, whatever the rating. */
  category: Category;
  /** Why, in the words of the model; untrusted text. `null` if none was asked for. */
  rationale: string | null;
  /** Whether the rationale was cut at the bound on its tokens. */
  rationale_truncated: boolean;
  /** Probability of `Unsafe` against `Safe`, from 0 to 1. */
  unsafe_probability: number;
  /** Probability of each category against the others, in the order of the policy. */
  category_probabilities: CategoryProbability[];
  /** SHA-256 of the rules the image was judged by, 64 hexadecimal digits. */
  policy_id: string;
  /** Name of the policy. */
  policy_name: string;
  /** Name of the model and the beginning of its weights' SHA-256. */
  model_id: string;
  /** How closely the image was looked at. */
  detail: {
    /** The level asked for. */
    level: Detail;
    /** Tiles that went through the vision tower, the base image included. */
    tiles: number;
    /** Visual tokens the language model read. */
    visual_tokens: number;
  };
  /** Tokens read and written. */
  tokens: {
    /** Visual tokens. */
    visual: number;
    /** Text tokens of the prompt. */
    prompt: number;
    /** Tokens the model chose; those that the form of the answer forces are not counted. */
    generated: number;
  };
  /** Where the time went. */
  timings_ms: Timings;
}

/** What stands before the rationale is written. */
export type Verdict = Pick<Assessment, 'rating' | 'category' | 'unsafe_probability'>;
