/** Which key is wrapped; bound into the wrapping, so a wrapped key is worthless under any other app or name. */
export type DataKeyName = {
  /** The app, or the installation for a key of its own. */
  appId: string
  dataKeyId: string
}

/** Holds or reaches the root keys: a key file, or a key service. */
export type KeyWrapper = {
  /** Wraps with the newest root key. The bytes are opaque to everyone else. */
  wrap(name: DataKeyName, dataKey: Uint8Array): Promise<Buffer>
  /** Unwraps what any root key, old or new, has wrapped. */
  unwrap(name: DataKeyName, wrapped: Buffer): Promise<Buffer>
  /** True when `wrapped` was made by the newest root key, so that rewrapping it would change nothing. */
  isCurrent(wrapped: Buffer): boolean
  /** Tell these root keys apart from others and reveal none of them. A root key that is added adds one. */
  fingerprints(): readonly string[]
}

/** Root keys that cannot be used as they are configured. `message` is one sentence for the operator and holds no secret. */
export class RootKeyError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'RootKeyError'
  }
}
