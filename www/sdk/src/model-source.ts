/** Where a loaded model's bytes came from, and what is known about them. */
export interface ModelSource {
  /**
   * Whether every byte was compared with the SHA-256 of a manifest. A model from a plain address or
   * from a file is used as it comes.
   */
  verified: boolean;
  /** The public key that signed the manifest. */
  signedBy?: string;
  /** Where the bytes are kept: private files, a cache, this tab's memory, or the user's own file. */
  storage: 'files' | 'cache' | 'memory' | 'file';
  /** Size of the model. */
  bytes: number;
  /** Bytes that were in the storage already. */
  reused: number;
  /** Bytes that were fetched. */
  fetched: number;
  /** Chunks that were found damaged in the storage and were fetched again. */
  repaired: number;
}
