import type { BuildName } from './builds.js';

/** How far loading or an assessment is. */
export type Progress =
  | {
      /** `verify`: what is stored is compared with its digests; `download`: what is missing is fetched. */
      stage: 'verify' | 'download';
      /** Bytes, those of earlier times included. */
      done: number;
      /** Bytes in all; 0 where that is not known. */
      total: number;
      /** Over the last seconds; 0 where too little has come to tell. */
      bytesPerSecond: number;
      /** At this rate; absent where it is not known. */
      secondsLeft?: number;
    }
  | {
      /**
       * `wait`: another tab loads the same model, which is then not fetched twice; `load` in tensors;
       * `vision` in layers over all tiles; `prefill` in layers; `decode` in tokens. `total` is 0 where
       * it is not known.
       */
      stage: 'wait' | 'load' | 'vision' | 'prefill' | 'decode';
      done: number;
      total: number;
    }
  | {
      /**
       * A build did not start or lost its GPU for good; the next one takes over. What a running call
       * has streamed begins anew.
       */
      stage: 'fallback';
      /** The build that is left. */
      build: BuildName;
      /**
       * Why, for programs: the code of the error that ended it, stable as all of them are. For a GPU
       * `device.lost`, `device.out_of_memory`, `device.wrong_result` or `device.too_small`; for a build
       * that did not start what it met, mostly `engine.failed`.
       */
      code: string;
      /** Why, for people, in English. */
      reason: string;
    }
  | {
      /** The GPU failed and is tried once more. What a running call has streamed begins anew. */
      stage: 'retry';
      /** Why, for programs: `device.lost` or `device.out_of_memory`. */
      code: string;
      /** Why, for people, in English. */
      reason: string;
    };
