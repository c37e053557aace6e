/**
 * The answer of `POST /sdk/token`: a credential and how to put it on a request. It never leaves this package: only
 * `provider-call.ts` sees it, for one request.
 */
import { bool, type Form, integerFrom, isObject, listOf, readFields } from './read-fields.ts'
import { optionalRetryInfo, type RetryInfo } from './retry-info.ts'

/** Where one more copy of a credential goes. */
export type AdditionalInjection = {
  target: 'header' | 'query_param'
  key: string
  /** `token`, or `additional_credentials.<name>`. */
  valueSource: string
}

export type TokenResponse = {
  accessToken: string
  grantId: string
  providerId: string
  scopes: readonly string[]
  tokenGeneration: string | null
  scopeMismatch: boolean
  injectionHeader: string
  injectionFormat: string
  additionalCredentials: Readonly<Record<string, string>> | null
  additionalInjections: readonly AdditionalInjection[]
  retryInfo: RetryInfo | null
}

/** A format that starts so asks for an AWS signature instead of a header with the token. */
export const AWS_FORMAT = 'AWS4-HMAC-SHA256'

/** Headers that frame the message or steer its way; no credential belongs in them. */
const RESERVED_HEADERS = new Set([
  'host',
  'content-length',
  'content-type',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'upgrade',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'cookie',
  'set-cookie',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'x-http-method-override',
  'x-method-override',
  'www-authenticate',
  'strict-transport-security',
  'content-security-policy',
])

const LOWER_CASE_UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const ZONED_TIMESTAMP = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/
const LINE_BREAKER = /[\r\n\0]/
const VALUE_SOURCE = /^(token|additional_credentials\.[a-z][a-z0-9_]*)$/

function textForm(expects: string, accepts: (text: string) => boolean): Form<string> {
  return { expects, read: (value) => (typeof value === 'string' && accepts(value) ? value : undefined) }
}

const isTrimmed = (text: string) => text !== '' && text === text.trim()

const secretText = textForm('a non-empty string on one line', (text) => text !== '' && !LINE_BREAKER.test(text))
const lowerCaseUuid = textForm('a lower-case UUID', (text) => LOWER_CASE_UUID.test(text))
const zonedTimestamp = textForm('a timestamp with its zone', (text) => ZONED_TIMESTAMP.test(text))
const tokenType = textForm('1 to 255 characters', (text) => isTrimmed(text) && text.length <= 255)
const providerIdForm = textForm('at most 255 characters', (text) => text.length <= 255)
const scopeList = listOf(textForm('a scope', isTrimmed))
const injectionHeaderForm = textForm('the name of a header that may carry a credential', (text) => {
  return text.length <= 60 && /^[A-Za-z][A-Za-z0-9-]*$/.test(text) && !RESERVED_HEADERS.has(text.toLowerCase())
})
const injectionFormatForm = textForm(`a format with {token}, or ${AWS_FORMAT}`, (text) => {
  return text.length <= 200 && !LINE_BREAKER.test(text) && (text.includes('{token}') || text.startsWith(AWS_FORMAT))
})
const additionalCredentialsForm: Form<Readonly<Record<string, string>>> = {
  expects: 'an object of at most 10 non-blank strings',
  read: (value) => {
    if (!isObject(value) || Object.keys(value).length > 10) return undefined
    const usable = Object.entries(value).every(
      ([key, item]) => key.length <= 50 && typeof item === 'string' && item.trim() !== '' && item.length <= 8_192,
    )
    return usable ? (value as Record<string, string>) : undefined
  },
}
const additionalInjectionForm: Form<AdditionalInjection> = {
  expects: 'a rule of exactly target, key and value_source',
  read: (value) => {
    if (!isObject(value) || Object.keys(value).length !== 3) return undefined
    const { target, key, value_source: valueSource } = value
    if (target !== 'header' && target !== 'query_param') return undefined
    if (typeof key !== 'string' || key.length > 100 || !/^[A-Za-z][A-Za-z0-9_-]*$/.test(key)) return undefined
    if (typeof valueSource !== 'string' || !VALUE_SOURCE.test(valueSource)) return undefined
    if (target === 'header' && RESERVED_HEADERS.has(key.toLowerCase())) return undefined
    return { target, key, valueSource }
  },
}
const additionalInjectionsForm: Form<readonly AdditionalInjection[]> = {
  expects: 'at most 10 injection rules',
  read: (value) => {
    const rules = listOf(additionalInjectionForm).read(value)
    return rules && rules.length <= 10 ? rules : undefined
  },
}

/**
 * Reads the answer; a field that may not be null and is, counts as malformed.
 * @throws {AlterValueError} naming the field, never its value
 */
export function readTokenResponse(json: unknown): TokenResponse {
  const read = readFields('the credential', json)
  read.defaulted('tokenType', tokenType, 'Bearer')
  read.optional('expiresIn', integerFrom(0))
  read.optional('expiresAt', zonedTimestamp)
  return {
    accessToken: read.required('accessToken', secretText),
    grantId: read.required('grantId', lowerCaseUuid),
    providerId: read.defaulted('providerId', providerIdForm, ''),
    scopes: read.defaulted('scopes', scopeList, []),
    tokenGeneration: read.optional('tokenGeneration', lowerCaseUuid),
    scopeMismatch: read.defaulted('scopeMismatch', bool, false),
    injectionHeader: read.defaulted('injectionHeader', injectionHeaderForm, 'Authorization'),
    injectionFormat: read.defaulted('injectionFormat', injectionFormatForm, 'Bearer {token}'),
    additionalCredentials: read.optional('additionalCredentials', additionalCredentialsForm),
    additionalInjections: read.optional('additionalInjections', additionalInjectionsForm) ?? [],
    retryInfo: optionalRetryInfo.read(read.raw('retryInfo')) ?? null,
  }
}
