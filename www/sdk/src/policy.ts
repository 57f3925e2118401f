/** How a policy treats a category of its base. */
export type CategoryMode = 'default' | 'non_violating' | 'sensitive';

/** Changes to a category, or an added one. */
export interface CategoryRules {
  mode?: CategoryMode;
  title?: string;
  should_not?: string[];
  can?: string[];
}

/**
 * A safety policy: a published taxonomy with changes to single categories. The form is published as
 * `crates/policy/schema/policy.schema.json`; what does not fit it is refused by a
 * `LlavaGuardError` whose code begins with `policy.`.
 */
export interface PolicyDocument {
  $schema?: string;
  base?: 'llavaguard-v1.2' | 'llavaguard-v1.1' | 'llavaguard-v1.0' | 'llavaguard-eu';
  name?: string;
  version?: string;
  categories?: Record<string, CategoryMode | 'removed' | CategoryRules>;
}

/** A policy as a document, or as JSON text (whose doubled keys can then be found). */
export type PolicyInput = PolicyDocument | string;

/** A category as a policy has it. */
export interface PolicyCategory {
  /** E.g. `O6`. */
  id: string;
  title: string;
  mode: CategoryMode;
  /** Its rules, whatever the mode: those of the base where the policy brings none. */
  should_not: string[];
  can: string[];
  /** What stands below its heading in the prompt. */
  text: string;
}

/** What a valid policy amounts to. */
export interface PolicyDescription {
  /** SHA-256 of the rules; the same as in assessments made under the policy. */
  id: string;
  /** Its name. */
  name: string;
  /** The document in canonical form. */
  document: string;
  /** The categories an image can be given, in the order of the prompt. */
  categories: PolicyCategory[];
}

/** What the model reads for a policy. */
export interface PolicyPrompt {
  /** The exact text; the image and the turns of the chat stand around it. */
  text: string;
  /** Tokens of the prompt, the chat's turns included and the image's excepted. */
  tokens: number;
}

/** The text of a policy document. */
export function policyText(policy: PolicyInput): string {
  return typeof policy === 'string' ? policy : JSON.stringify(policy);
}
