/** Which data key is wrapped; bound into the wrapping, so a wrapped key is worthless under any other app or id. */
export type DataKeyName = { appId: string; dataKeyId: string }

/** Holds or reaches the root keys. The local key file is one; a key management service is another. */
export type KeyWrapper = {
  /** Wraps with the newest root key. The bytes are opaque to everyone else. */
  wrap(name: DataKeyName, dataKey: Uint8Array): Promise<Buffer>
  /** Unwraps what any root key, old or new, has wrapped. */
  unwrap(name: DataKeyName, wrapped: Buffer): Promise<Buffer>
  /** True when `wrapped` was made by the newest root key, so that rewrapping it would change nothing. */
  isCurrent(wrapped: Buffer): boolean
}
