export type {
  Assessment,
  Category,
  CategoryProbability,
  Detail,
  Rating,
  Timings,
  Verdict,
} from './assessment.js';
export {
  type Adapter,
  type BuildName,
  cpuBuilds,
  type Environment,
  type Gpu,
  gpuAdapter,
} from './builds.js';
export { type ErrorMessage, LlavaGuardError } from './errors.js';
export type { GuardEvent } from './events.js';
export {
  type AssessManyOptions,
  type AssessOptions,
  type GuardSession,
  type JudgeOptions,
  LlavaGuard,
  type LoadOptions,
  type ModelFiles,
  type ModelInfo,
  type OpenOptions,
  type ProbeOptions,
  type RationaleOptions,
} from './guard.js';
export type { ImageInput } from './image.js';
export type { ManyImages, ManyResult } from './many.js';
export type { Priority } from './messages.js';
export type { ModelSource } from './model-source.js';
export type {
  CategoryMode,
  CategoryRules,
  PolicyCategory,
  PolicyDescription,
  PolicyDocument,
  PolicyInput,
  PolicyPrompt,
} from './policy.js';
export type { Probe, ProbeReason } from './probe.js';
export type { Progress } from './progress.js';
export {
  forgetModelFile,
  openModelFile,
  rememberedModelFile,
  rememberModelFile,
} from './remembered.js';
export { deleteStoredModel, type StoredModel, storedModels } from './stored.js';
