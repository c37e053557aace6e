/** Options of `request` and `proxyRequest`, and the checks both make before anything is sent. */
import { type AuditContext, callContext } from './audit-context.ts'
import { AlterValueError } from './generated/errors.ts'
import { assertQueryParams, type PathParams, type QueryParams } from './request-target.ts'

/** What both kinds of call take. Exactly one of `grantId` and `provider` says whose credential is used. */
export type CallOptions = {
  grantId?: string
  /** Provider id; the vault then finds the grant of the user or agent. */
  provider?: string
  /** With `provider`: the account at the provider, when the user connected several. */
  account?: string
  /** With `provider`: the label of the grant. */
  label?: string
  /** With `provider`: the app's user whose grant is meant. */
  appUserId?: string
  /** Token of the user; otherwise the client's `userTokenGetter` is asked. */
  userToken?: string
  /** Sent as compact JSON. */
  json?: unknown
  headers?: Readonly<Record<string, string>>
  /** Appended to the URL's query; lists repeat the name. */
  queryParams?: QueryParams
  /** Values for `{name}` placeholders of the URL. */
  pathParams?: PathParams
  /** Why the call is made, for approvers and the audit log. */
  reason?: string
  /** Labels for the audit log, over those of the enclosing `trace()`. */
  context?: AuditContext
  /** Replaces the client's caller for this call. */
  caller?: string
  /** Ends the call early; it then fails with the signal's reason. */
  signal?: AbortSignal
}

const MAX_CALLER_LENGTH = 255
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** Who the call is made as and whose credential it uses, checked. */
export function checkCallOptions(options: CallOptions): { context: AuditContext | undefined } {
  if ((options.grantId === undefined) === (options.provider === undefined)) {
    throw new AlterValueError('Name exactly one of "grantId" and "provider"')
  }
  for (const name of ['grantId', 'provider'] as const) {
    if (options[name] !== undefined && (typeof options[name] !== 'string' || options[name] === '')) {
      throw new AlterValueError(`"${name}" must be a non-empty string`)
    }
  }
  if (options.provider === undefined) {
    for (const name of ['account', 'label', 'appUserId'] as const) {
      if (options[name] !== undefined) throw new AlterValueError(`"${name}" is only used together with "provider"`)
    }
  }
  if (options.caller !== undefined) assertCaller(options.caller)
  for (const [name, value] of Object.entries(options.headers ?? {})) assertHeader(name, value)
  assertQueryParams(options.queryParams ?? {})
  return { context: callContext(options.context) }
}

/** The method in upper case; any word is accepted, the other side decides. */
export function checkMethod(method: string): string {
  if (typeof method !== 'string' || method === '') throw new AlterValueError('The method must be a non-empty string')
  return method.toUpperCase()
}

/** @throws {AlterValueError} unless it is 1 to 255 printable ASCII characters */
export function assertCaller(caller: string): void {
  if (typeof caller !== 'string' || caller.length > MAX_CALLER_LENGTH || !/^[\x20-\x7e]+$/.test(caller)) {
    throw new AlterValueError(`A caller has 1 to ${MAX_CALLER_LENGTH} printable ASCII characters`)
  }
  // HTTP strips outer spaces on the way, and the signature over them would no longer fit.
  if (caller !== caller.trim()) throw new AlterValueError('A caller must not begin or end with a space')
}

function assertHeader(name: string, value: unknown): void {
  if (!HEADER_NAME.test(name)) throw new AlterValueError('A header name has characters that HTTP does not allow')
  if (typeof value !== 'string' || !HEADER_VALUE.test(value)) {
    throw new AlterValueError(`The header "${name}" must be a string on one line, of characters that HTTP allows`)
  }
}
