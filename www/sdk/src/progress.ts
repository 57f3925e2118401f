import type { BuildName } from './builds.js';

/** How far loading or an assessment is. */
export type Progress =
  | {
      /**
       * `download` in bytes; `load` in tensors; `vision` in layers over all tiles; `prefill` in
       * layers; `decode` in tokens. `total` is 0 where it is not known.
       */
      stage: 'download' | 'load' | 'vision' | 'prefill' | 'decode';
      done: number;
      total: number;
    }
  | {
      /**
       * A build did not start or lost its GPU for good; the next one takes over. What a running call
       * has streamed begins anew.
       */
      stage: 'fallback';
      build: BuildName;
      reason: string;
    }
  | {
      /** The GPU failed and is tried once more. What a running call has streamed begins anew. */
      stage: 'retry';
      reason: string;
    };
