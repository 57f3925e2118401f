import type { Detail, Verdict } from './assessment.js';
import type { Adapter, BuildName } from './builds.js';
import type { ErrorMessage } from './errors.js';
import type { Progress } from './progress.js';

/** An image on its way to the worker: a file, its bytes or address, a copy of what a page shows, or bare pixels. */
export type ImageMessage =
  | { kind: 'file'; file: Blob }
  | { kind: 'bytes'; bytes: Uint8Array }
  | { kind: 'url'; url: string }
  | { kind: 'bitmap'; bitmap: ImageBitmap }
  | { kind: 'rgba'; width: number; height: number; pixels: Uint8ClampedArray };

/**
 * How soon a request gets its turn, in the words of the browser's own scheduler: before those of a
 * lower priority that wait, behind those of its own.
 */
export type Priority = 'user-blocking' | 'user-visible' | 'background';

/** Options of one judgement, as `crates/web/src/request.rs` reads them. */
export interface JudgeMessage {
  policy?: string;
  detail?: Detail;
  rationale?: {
    maxTokens?: number;
    sampling?: { temperature: number; topP: number; seed: number };
  };
}

/** The model to load, and how. */
export interface ModelMessage {
  /**
   * The address of a manifest or a model file, or the file itself; `files` are the addresses of what
   * the manifest names, where they do not lie beside it.
   */
  model: { url: string; files?: string[] } | Blob;
  /** Keys of which one must have signed the manifest. */
  trustedKeys?: string[];
  /** Whether it is to stay in this browser's storage. */
  keep: boolean;
}

/** Starts a build. */
export interface StartRequest {
  type: 'start';
  build: BuildName;
  threads: number;
  /** For the build `webgpu`, with what takes over where that fails. */
  adapter?: Adapter;
  next?: BuildName[];
  /** Where the builds' WebAssembly lies, if not beside the worker. */
  wasm?: Record<BuildName, string>;
}

/** What the worker can be asked for. */
export type Request =
  | StartRequest
  | ({ type: 'load' } & ModelMessage)
  | ({ type: 'probe' } & ModelMessage)
  | { type: 'assess'; image: ImageMessage; options: JudgeMessage }
  | { type: 'open'; image: ImageMessage; detail: Detail }
  | { type: 'judge'; session: number; options: JudgeMessage }
  | { type: 'close'; session: number }
  | { type: 'describePolicy'; policy: string }
  | { type: 'promptText'; policy: string }
  | { type: 'prompt'; policy: string };

/** From the page to the worker. Every request is answered by one `done` or `failed`. */
export type ToWorker =
  | { type: 'request'; id: number; request: Request; priority?: Priority }
  | { type: 'cancel'; id: number };

/** What is told while a request is worked on. */
export type Notice =
  | ({ type: 'progress' } & Progress)
  | ({ type: 'verdict' } & Verdict)
  | { type: 'rationale'; text: string }
  /** Another build has taken over; its model information as the engine gives it. */
  | { type: 'build'; build: BuildName; threads: number; info: unknown };

/** From the worker to the page. */
export type FromWorker =
  | { type: 'notice'; id: number; notice: Notice }
  | { type: 'done'; id: number; value: unknown }
  | { type: 'failed'; id: number; error: ErrorMessage }
  /** A thread of the pool was started; it tells of its crash itself, see `ThreadMessage`. */
  | { type: 'thread'; crashPort: MessagePort }
  | { type: 'crashed'; message: string };

/** Makes the receiving worker a thread of the pool instead. */
export interface ThreadMessage {
  type: 'thread';
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  /** To the page: the engine's own worker may be waiting for this very thread when it crashes. */
  crashPort: MessagePort;
}
