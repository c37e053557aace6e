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
  /** The first 20 are kept, and their texts at a length that can be read. */
  errors?: FieldError[] | undefined
  retryAfterSeconds?: number
  /** For the log only; never leaves the process. */
  log?: Record<string, unknown>
  cause?: unknown
}

const MAX_ERRORS = 20
const MAX_TEXT_LENGTH = 1_000

/** What comes from a request is not repeated at any length. */
const brief = (text: string): string =>
  text.length <= MAX_TEXT_LENGTH ? text : `${text.slice(0, MAX_TEXT_LENGTH).toWellFormed()}…`

const briefError = ({ pointer, code, message }: FieldError): FieldError => ({
  pointer: brief(pointer),
  code,
  message: brief(message),
})

const briefFields = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, typeof value === 'string' ? brief(value) : value]),
  )

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
      brief(options.message ?? errorRegistry[code].sentence),
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.name = 'VaultError'
    this.code = code
    this.status = options.status ?? errorRegistry[code].status
    this.hint = options.hint
    this.fields = briefFields(options.fields ?? {})
    this.errors = options.errors?.slice(0, MAX_ERRORS).map(briefError)
    this.retryAfterSeconds = options.retryAfterSeconds
    this.log = options.log ?? {}
  }
}

/** `validation_failed` with one fault. */
export function invalidField(pointer: string, message: string, code = 'invalid'): VaultError {
  return new VaultError('validation_failed', { message, errors: [{ pointer, code, message }] })
}
