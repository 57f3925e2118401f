import { LlavaGuardError } from '../errors.js';

/** Bytes put together before they go to the browser's blob storage. */
const PIECE = 4 << 20;

/** Fetches a file as a blob, which the browser may keep outside the tab's memory. */
export async function download(
  url: string,
  progress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<Blob> {
  const failed = (what: string) =>
    new LlavaGuardError({
      code: 'model.fetch_failed',
      message: `The model could not be fetched from ${url}: ${what}. Check the address and the connection, then try again.`,
    });
  try {
    const response = await fetch(url, { signal });
    if (!response.ok) throw failed(`the server said ${response.status}`);
    const total = Number(response.headers.get('content-length') ?? 0);
    const pieces: Blob[] = [];
    let chunks: Uint8Array<ArrayBuffer>[] = [];
    let waiting = 0;
    let done = 0;
    const flush = () => {
      pieces.push(new Blob(chunks));
      chunks = [];
      waiting = 0;
    };
    const reader = response.body?.getReader();
    for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
      chunks.push(read.value);
      waiting += read.value.length;
      done += read.value.length;
      if (waiting >= PIECE) flush();
      progress(done, total);
    }
    flush();
    return new Blob(pieces);
  } catch (error) {
    if (error instanceof LlavaGuardError || signal.aborted) throw error;
    throw failed(error instanceof Error ? error.message : 'the connection failed');
  }
}
