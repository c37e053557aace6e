/** Errors that say more than the contract does, and how the generated ones read what the vault sent. */

/** What is known about an error besides its text. Names are those of the wire. */
export type ErrorDetails = Readonly<Record<string, unknown>>

export function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

export function integer(value: unknown): number | null {
  return Number.isInteger(value) ? (value as number) : null
}

export function flag(value: unknown): boolean {
  return value === true
}

export function texts(value: unknown): readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : []
}

/** A member of a member. */
export function within(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}

/**
 * Root of the tree. `name` is the class, `details` the object that the vault sent, with its own snake_case names, plus `status_code`. The
 * properties of the classes read it: a field that is missing or of the wrong type is `null`, or an empty list.
 */
export class AlterSDKError extends Error {
  readonly details: ErrorDetails

  constructor(message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.details = details
  }
}

/** An argument was refused. Nothing was sent. */
export class AlterValueError extends AlterSDKError {}

/** The provider answered `request` with status 400 or above. */
export class ProviderAPIError extends AlterSDKError {
  /** The provider's answer, body not yet read; absent when the vault itself raised the error. Not enumerable. */
  declare readonly response: Response | undefined

  constructor(message: string, details: ErrorDetails = {}, options?: ErrorOptions & { response?: Response }) {
    super(message, details, options)
    Object.defineProperty(this, 'response', { value: options?.response, enumerable: false })
  }

  get statusCode(): number | null {
    return integer(this.details.status_code)
  }
  /** Body text, without credentials, up to 10,000 bytes; otherwise a note such as `<binary response: 512 bytes>`. */
  get responseBody(): string | null {
    return text(this.details.response_body)
  }
  get grantId(): string | null {
    return text(this.details.grant_id)
  }
  get providerId(): string | null {
    return text(this.details.provider_id)
  }
}
