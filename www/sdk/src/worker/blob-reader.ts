/**
 * The bytes of a model, read synchronously piece by piece as the engine asks for them, so that the
 * tab never holds a second copy of the file.
 */
export class BlobReader {
  readonly size: number;
  readonly #blob: Blob;
  readonly #reader = new FileReaderSync();

  constructor(blob: Blob) {
    this.#blob = blob;
    this.size = blob.size;
  }

  /** Called by the engine (`crates/web/src/host.rs`). */
  read(offset: number, into: Uint8Array): number {
    const slice = this.#blob.slice(offset, offset + into.length);
    const bytes = new Uint8Array(this.#reader.readAsArrayBuffer(slice));
    into.set(bytes);
    return bytes.length;
  }
}
