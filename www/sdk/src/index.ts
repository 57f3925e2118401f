export type {
  Assessment,
  Category,
  CategoryProbability,
  Detail,
  Rating,
  Timings,
  Verdict,
} from './assessment.js';
export { type Adapter, type BuildName, cpuBuilds, gpuAdapter } from './builds.js';
export { LlavaGuardError } from './errors.js';
export {
  type GuardSession,
  type JudgeOptions,
  LlavaGuard,
  type LoadOptions,
  type ModelInfo,
  type OpenOptions,
  type RationaleOptions,
} from './guard.js';
export type { ImageInput } from './image.js';
export type {
  CategoryMode,
  CategoryRules,
  PolicyDescription,
  PolicyDocument,
  PolicyInput,
} from './policy.js';
export type { Progress } from './progress.js';
