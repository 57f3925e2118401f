import type { Assessment } from '../assessment.js';
import { LlavaGuardError, toErrorMessage } from '../errors.js';
import type { AssessOptions, LlavaGuard } from '../guard.js';

/** What judges: a loaded guard, or one that is still being loaded. */
export type Guard = Pick<LlavaGuard, 'assess'> | PromiseLike<Pick<LlavaGuard, 'assess'>>;

/** What becomes of a file that could not be judged. */
export type Undecided = 'block' | 'allow';

/** How files are checked before they are sent. */
export interface CheckOptions extends Pick<AssessOptions, 'policy' | 'detail' | 'rationale'> {
  /** Whether a judged file may be sent; by default what is rated `Safe`. */
  allow?: (assessment: Assessment, file: Blob) => boolean;
  /**
   * What becomes of a file that could not be judged, e.g. since it is no image or there is no model:
   * `block` by default. A site that takes PDFs too allows those whose error has the code
   * `image.unsupported_format`. It goes by content, so a picture named `.pdf` is judged.
   */
  undecided?: Undecided | ((file: Blob, error: LlavaGuardError) => Undecided);
  /**
   * Where it is given, blocked files can be appealed against: the site asks whom it will and says
   * whether the file may be sent after all.
   */
  onAppeal?: (file: CheckedFile) => boolean | Promise<boolean>;
}

/** A file and what is known about it. */
export interface CheckedFile {
  readonly file: File;
  /** Only `allowed` may be sent. `undecided`: it could not be judged, and is blocked for that. */
  readonly status: 'waiting' | 'checking' | 'allowed' | 'blocked' | 'undecided';
  /** Its assessment, where it was judged. */
  readonly assessment?: Assessment;
  /** Why it could not be judged. */
  readonly error?: LlavaGuardError;
  /** Where an appeal stands. */
  readonly appeal?: 'open' | 'granted' | 'refused' | 'failed';
}

/** A judgement about one file. */
export type Check = Pick<CheckedFile, 'status' | 'assessment' | 'error'>;

/** Judges one file. Never rejects but by `signal`: what goes wrong makes the file `undecided`. */
export async function check(
  file: Blob,
  guard: Guard,
  options: CheckOptions,
  signal: AbortSignal,
): Promise<Check> {
  const { policy, detail, rationale, allow = isSafe, undecided = 'block' } = options;
  try {
    const assessment = await (
      await guard
    ).assess(file, {
      ...(policy === undefined ? {} : { policy }),
      ...(detail === undefined ? {} : { detail }),
      ...(rationale === undefined ? {} : { rationale }),
      signal,
    });
    return { status: allow(assessment, file) ? 'allowed' : 'blocked', assessment };
  } catch (thrown) {
    signal.throwIfAborted();
    const error =
      thrown instanceof LlavaGuardError
        ? thrown
        : new LlavaGuardError(toErrorMessage(thrown, 'upload.not_checked'));
    const becomes = typeof undecided === 'function' ? undecided(file, error) : undecided;
    return { status: becomes === 'allow' ? 'allowed' : 'undecided', error };
  }
}

function isSafe({ rating }: Assessment): boolean {
  return rating === 'Safe';
}

/** Files under way at once: one in the engine, one that is read meanwhile. */
const CONCURRENCY = 2;

/** The files of one input and what became of each. */
export class Checks {
  guard: Guard | undefined;
  options: CheckOptions = {};
  readonly #changed: () => void;
  #files: CheckedFile[] = [];
  readonly #running = new Map<File, AbortController>();

  /** `changed` is told whenever `files` is another. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** The files, in the order in which they were chosen. */
  get files(): readonly CheckedFile[] {
    return this.#files;
  }

  /** Whether every file may be sent. */
  get allAllowed(): boolean {
    return this.#files.every(({ status }) => status === 'allowed');
  }

  /** Takes these files instead; those that were there before keep their verdicts. */
  set(files: Iterable<File>): void {
    const known = new Map(this.#files.map((checked) => [checked.file, checked]));
    this.#files = [...new Set(files)].map((file) => known.get(file) ?? { file, status: 'waiting' });
    const kept = new Set(this.#files.map(({ file }) => file));
    for (const [file, abort] of this.#running) {
      if (!kept.has(file)) abort.abort();
    }
    this.#changed();
    this.#advance();
  }

  remove(file: File): void {
    this.set(this.#files.map((checked) => checked.file).filter((other) => other !== file));
  }

  /** Checks a file anew, or all: for another guard or policy. */
  again(file?: File): void {
    for (const checked of this.#files) {
      if (file !== undefined && checked.file !== file) continue;
      this.#running.get(checked.file)?.abort();
      this.#running.delete(checked.file);
      this.#replace({ file: checked.file, status: 'waiting' });
    }
    this.#changed();
    this.#advance();
  }

  /** Puts a blocked file before the site. */
  async appeal(file: File): Promise<void> {
    const { onAppeal } = this.options;
    const before = this.#find(file);
    if (!onAppeal || before?.status !== 'blocked' || before.appeal === 'open') return;
    this.#update({ ...before, appeal: 'open' });
    let after: Partial<CheckedFile>;
    try {
      after = (await onAppeal(before))
        ? { status: 'allowed', appeal: 'granted' }
        : { appeal: 'refused' };
    } catch {
      after = { appeal: 'failed' };
    }
    // Meanwhile it may have been removed or checked under another policy.
    if (this.#find(file)?.appeal === 'open') this.#update({ ...before, ...after });
  }

  /** Stops everything. */
  stop(): void {
    for (const abort of this.#running.values()) abort.abort();
    this.#running.clear();
  }

  #find(file: File): CheckedFile | undefined {
    return this.#files.find((checked) => checked.file === file);
  }

  #replace(checked: CheckedFile): void {
    this.#files = this.#files.map((other) => (other.file === checked.file ? checked : other));
  }

  #update(checked: CheckedFile): void {
    this.#replace(checked);
    this.#changed();
  }

  #advance(): void {
    const { guard } = this;
    if (!guard) return;
    while (this.#running.size < CONCURRENCY) {
      const next = this.#files.find(({ status }) => status === 'waiting');
      if (!next) return;
      void this.#check(next.file, guard);
    }
  }

  async #check(file: File, guard: Guard): Promise<void> {
    const abort = new AbortController();
    this.#running.set(file, abort);
    this.#update({ file, status: 'checking' });
    try {
      const result = await check(file, guard, this.options, abort.signal);
      if (!abort.signal.aborted) this.#update({ file, ...result });
    } catch (error) {
      // The site's own functions may throw; that is no verdict either.
      const known = new LlavaGuardError(toErrorMessage(error, 'upload.not_checked'));
      if (!abort.signal.aborted) this.#update({ file, status: 'undecided', error: known });
    } finally {
      if (this.#running.get(file) === abort) this.#running.delete(file);
      this.#advance();
    }
  }
}
