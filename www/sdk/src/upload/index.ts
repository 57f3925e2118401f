/**
 * The upload guard: pictures are judged before they are sent.
 *
 * @module
 */
export {
  type Check,
  type CheckedFile,
  type CheckOptions,
  type Guard,
  type Undecided,
} from './checks.js';
export { defineUploadElement, LlavaGuardUpload } from './element.js';
export { type FileInputOptions, type GuardedInput, guardFileInput } from './file-input.js';
export {
  checkFormData,
  type FormDataFile,
  type FormDataOptions,
  guardedFetch,
  UploadBlockedError,
} from './form-data.js';
export { ENGLISH, GERMAN, type UploadStrings } from './strings.js';
