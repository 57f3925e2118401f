import { LlavaGuardError } from '../errors.js';
import { type Check, check, type CheckOptions, type Guard } from './checks.js';

/** How data are checked that a script sends. */
export type FormDataOptions = Omit<CheckOptions, 'onAppeal'> & {
  /** Stops checking. */
  signal?: AbortSignal;
};

/** A file of form data, and what became of it. */
export interface FormDataFile extends Check {
  /** The field it is in; empty where the body is a file itself. */
  field: string;
  file: Blob;
}

/** Files that must not be sent. Nothing was. */
export class UploadBlockedError extends LlavaGuardError {
  /** What was checked, the allowed files too. */
  readonly files: FormDataFile[];

  constructor(files: FormDataFile[]) {
    const refused = files.filter(({ status }) => status !== 'allowed');
    const names = refused.map(({ field, file, error, assessment }) => {
      const name = file instanceof File ? file.name : field || 'the body';
      return `${name} (${error?.message ?? assessment?.category.name ?? 'not allowed'})`;
    });
    super({
      code: 'upload.blocked',
      message: `Nothing was sent: ${names.join('; ')}. Remove what is not allowed, then send again.`,
    });
    this.files = files;
  }
}

/** Judges all files of form data, one after another; gives what became of each. */
export async function checkFormData(
  data: FormData,
  guard: Guard,
  options: FormDataOptions = {},
): Promise<FormDataFile[]> {
  const entries = [...data].flatMap(([field, file]) =>
    // An empty file input sends an empty file.
    typeof file === 'string' || (file.size === 0 && file.name === '') ? [] : [{ field, file }],
  );
  return checkAll(entries, guard, options);
}

async function checkAll(
  entries: { field: string; file: Blob }[],
  guard: Guard,
  options: FormDataOptions,
): Promise<FormDataFile[]> {
  const signal = options.signal ?? new AbortController().signal;
  const files: FormDataFile[] = [];
  for (const entry of entries) {
    files.push({ ...entry, ...(await check(entry.file, guard, options, signal)) });
  }
  return files;
}

/**
 * A `fetch` that judges what it sends: the files of `FormData`, a file, or bytes. Text, parameters and
 * requests without a body pass. A stream cannot be judged without using it up and is refused.
 *
 * @throws UploadBlockedError where a file is not allowed; nothing was sent then. LlavaGuardError with
 * `upload.unreadable_body` for a stream. Else what `fetch` throws.
 */
export function guardedFetch(guard: Guard, options: FormDataOptions = {}): typeof fetch {
  return async (input, init) => {
    const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined);
    const checking = { ...options, ...(signal ? { signal } : {}) };
    const body = init?.body ?? (input instanceof Request ? await bodyOf(input) : undefined);
    const files =
      body instanceof FormData
        ? await checkFormData(body, guard, checking)
        : await checkAll(await filesIn(body), guard, checking);
    if (files.some(({ status }) => status !== 'allowed')) throw new UploadBlockedError(files);
    return fetch(input, init);
  };
}

async function filesIn(
  body: BodyInit | null | undefined,
): Promise<{ field: string; file: Blob }[]> {
  if (body instanceof ReadableStream) {
    throw new LlavaGuardError({
      code: 'upload.unreadable_body',
      message: 'A stream cannot be checked before it is sent. Give a File, a Blob or FormData.',
    });
  }
  if (body instanceof Blob) return [{ field: '', file: body }];
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) {
    return [{ field: '', file: new Blob([body]) }];
  }
  return Promise.resolve([]);
}

/** The body of a request, as far as it can hold files. */
async function bodyOf(request: Request): Promise<FormData | Blob | undefined> {
  if (!request.body) return undefined;
  const type = request.headers.get('content-type') ?? '';
  const copy = request.clone();
  if (type.startsWith('multipart/form-data')) return copy.formData();
  const text = /^(text\/|application\/(json|x-www-form-urlencoded|xml))/.test(type);
  return text ? undefined : copy.blob();
}
