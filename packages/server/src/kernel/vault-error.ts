import { type ErrorCode, errorRegistry } from '@alter-vault/contracts'

/** One fault of a request's shape, named by where it is (RFC 6901 pointer into the body, or `query:<name>`, `header:<name>`). */
export type FieldError = { pointer: string; code: string; message: string }

export type VaultErrorOptions = {
  /** Replaces the registry's sentence. Names the field in quotes, says what was expected and what came. Holds no secret. */
  message?: string
  /** Instead of the registry's: only for `key_revoked`, which is 409 where the revoked key is the object and not the caller. */
  status?: 409
  hint?: string
  /** Code-specific members at the top level of the error body (docs/spec/wire-protocol.md#refusals). Snake case. */
  fields?: Record<string, unknown>
  errors?: FieldError[] | undefined
  retryAfterSeconds?: number
  /** For the log only; never leaves the process. */
  log?: Record<string, unknown>
  cause?: unknown
}

/** A refusal the caller must handle. Public face: code, message, hint, fields, errors. Log face: `log`, `cause`. */
export class VaultError extends Error {
  readonly code: ErrorCode
  readonly status: number
  readonly hint: string | undefined
  readonly fields: Record<string, unknown>
  readonly errors: FieldError[] | undefined
  readonly retryAfterSeconds: number | undefined
  readonly log: Record<string, unknown>

  constructor(code: ErrorCode, options: VaultErrorOptions = {}) {
    super(
      options.message ?? errorRegistry[code].sentence,
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.name = 'VaultError'
    this.code = code
    this.status = options.status ?? errorRegistry[code].status
    this.hint = options.hint
    this.fields = options.fields ?? {}
    this.errors = options.errors
    this.retryAfterSeconds = options.retryAfterSeconds
    this.log = options.log ?? {}
  }
}

/** `validation_failed` with one fault. */
export function invalidField(pointer: string, message: string, code = 'invalid'): VaultError {
  return new VaultError('validation_failed', { message, errors: [{ pointer, code, message }] })
}
