/** What the vault tried while it fetched a credential. */
import { anyText, bool, type Form, instance, integer, integerFrom, json, listOf, readFields } from './read-fields.ts'
import { type FromWire, type OnWire, toWire } from './wire-names.ts'

const MAX_ERROR_TEXT = 500

const errorText: Form<string> = {
  expects: `a string of at most ${MAX_ERROR_TEXT} characters`,
  read: (value) => (typeof value === 'string' && value.length <= MAX_ERROR_TEXT ? value : undefined),
}
const seconds: Form<number> = {
  expects: 'a number of seconds',
  read: (value) => (typeof value === 'number' && Number.isFinite(value) ? value : undefined),
}

/** One attempt that failed. */
export class RetryErrorInfo {
  /** Counted from 1. */
  readonly attempt: number
  readonly error: string
  readonly errorType: string | null
  /** How long the vault waited afterwards. */
  readonly delaySeconds: number | null
  /** Trying again would not have helped. */
  readonly permanent: boolean

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(fields: FromWire<RetryErrorInfo>) {
    const read = readFields('a failed attempt', fields)
    this.attempt = read.required('attempt', integerFrom(1))
    this.error = read.required('error', errorText)
    this.errorType = read.optional('errorType', anyText)
    this.delaySeconds = read.optional('delaySeconds', seconds)
    this.permanent = read.defaulted('permanent', bool, false)
  }

  toJSON(): OnWire<RetryErrorInfo> {
    return toWire(this) as OnWire<RetryErrorInfo>
  }
}

/** Attempts behind one credential; `response.retryInfo` of `request()`. */
export class RetryInfo {
  readonly totalAttempts: number
  /** Which attempt succeeded, counted from 1. */
  readonly successfulAttempt: number | null
  readonly errors: readonly RetryErrorInfo[]

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(fields: FromWire<RetryInfo>) {
    const read = readFields('retry information', fields)
    this.totalAttempts = read.required('totalAttempts', integerFrom(1))
    this.successfulAttempt = read.optional('successfulAttempt', integer)
    this.errors = read.defaulted('errors', listOf(instance(RetryErrorInfo)), [])
  }

  toJSON(): OnWire<RetryInfo> {
    return toWire(this) as OnWire<RetryInfo>
  }
}

/** Reads retry information from a token answer, where a malformed one is dropped rather than refused. */
export const optionalRetryInfo: Form<RetryInfo | null> = {
  expects: json.expects,
  read: (value) => {
    try {
      return new RetryInfo(value as FromWire<RetryInfo>)
    } catch {
      return null
    }
  },
}
