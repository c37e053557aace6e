import { appendPairs, formEncode } from './append-query.ts'
import { type CanonicalUrl, withQuery } from './canonical-url.ts'
import { type CredentialType, type CredentialValue, secretStrings } from './credential-value.ts'
import type { HeaderList } from './header-rules.ts'
import { type Injection, SIGV4_FORMAT } from './injection.ts'
import { AWS_SIGNING_HEADERS } from './sigv4.ts'

/** The names a credential takes on a request: headers in lower case, query names as they are. */
export type InjectedNames = { headers: string[]; queryParams: string[] }

/** A caller's request without what the credential will set. */
export type Cleared = { url: CanonicalUrl; headers: HeaderList; dropped: InjectedNames }

/** A request that carries its credential; from here on it is plaintext and goes to the upstream only. */
export type Injected = {
  url: CanonicalUrl
  headers: HeaderList
  names: InjectedNames
  /** What to search for in everything that comes back or is recorded. */
  secrets: string[]
}

/** The members of a retrieve answer that carry the credential (docs/spec/wire-protocol.md#retrieving-a-credential). Plaintext. */
export type RetrieveFields = {
  access_token: string
  injection_header: string
  injection_format: string
  additional_credentials: Record<string, string> | null
  additional_injections: { target: 'header' | 'query_param'; key: string; value_source: string }[] | null
}

/** The names that `injection` takes for this type of credential, without opening one. */
export function injectedNames(type: CredentialType, injection: Injection): InjectedNames {
  if (type === 'aws_sigv4') return { headers: [...AWS_SIGNING_HEADERS], queryParams: [] }
  const { header, additional } = effectiveInjection(type, injection)
  const named = (target: string) => additional.filter((one) => one.target === target).map(({ key }) => key)
  const headers = [header, ...named('header')].map((name) => name.toLowerCase())
  return { headers, queryParams: named('query_param') }
}

/**
 * Drops the caller's own headers and query parameters of the names that will be injected, and says which were there.
 * Done before rules read the request and before it is frozen, so that what they see is what is sent.
 */
export function dropInjectedNames(names: InjectedNames, url: CanonicalUrl, headers: HeaderList): Cleared {
  const dropped: InjectedNames = { headers: [], queryParams: [] }
  const keptHeaders = headers.filter(([name]) => {
    if (!names.headers.includes(name)) return true
    dropped.headers.push(name)
    return false
  })
  if (names.queryParams.length === 0 || url.query === '') return { url, headers: keptHeaders, dropped }
  const keptPairs = url.query.split('&').filter((pair) => {
    const name = decodedName(pair)
    if (!names.queryParams.includes(name)) return true
    if (!dropped.queryParams.includes(name)) dropped.queryParams.push(name)
    return false
  })
  const clearedUrl = dropped.queryParams.length === 0 ? url : withQuery(url, keptPairs.join('&'))
  return { url: clearedUrl, headers: keptHeaders, dropped }
}

/**
 * Puts a credential on a request. The caller's values of the same names are dropped here once more, whatever happened
 * before. AWS keys do not travel, they sign: see `signAwsRequest`.
 */
export function injectCredential(
  credential: Exclude<CredentialValue, { type: 'aws_sigv4' }>,
  injection: Injection,
  request: { url: CanonicalUrl; headers: HeaderList },
): Injected {
  const { header, format, additional } = effectiveInjection(credential.type, injection)
  const names = injectedNames(credential.type, injection)
  const cleared = dropInjectedNames(names, request.url, request.headers)
  const headers: HeaderList = [...cleared.headers, [header.toLowerCase(), fillFormat(format, mainToken(credential))]]
  const pairs: string[] = []
  for (const { target, key, valueSource } of additional) {
    const value = sourceValue(credential, valueSource)
    if (target === 'header') headers.push([key.toLowerCase(), value])
    else pairs.push(`${formEncode(key)}=${formEncode(value, '%20')}`)
  }
  return { url: appendPairs(cleared.url, pairs), headers, names, secrets: secretStrings(credential) }
}

/** The same injection as told to a client that will do it itself. The answer holds the credential in the clear. */
export function retrieveFields(credential: CredentialValue, injection: Injection): RetrieveFields {
  if (credential.type === 'aws_sigv4') {
    const { accessKeyId, secretAccessKey, sessionToken, region, service } = credential
    return {
      access_token: accessKeyId,
      injection_header: 'Authorization',
      injection_format: SIGV4_FORMAT,
      additional_credentials: {
        secret_key: secretAccessKey.reveal(),
        ...(sessionToken === undefined ? {} : { session_token: sessionToken.reveal() }),
        ...(region === undefined ? {} : { region }),
        ...(service === undefined ? {} : { service }),
      },
      additional_injections: null,
    }
  }
  const { header, format, additional } = effectiveInjection(credential.type, injection)
  const fields =
    credential.type === 'custom' ? [...credential.fields].map(([name, field]) => [name, field.reveal()] as const) : []
  return {
    access_token: mainToken(credential),
    injection_header: header,
    injection_format: format,
    additional_credentials: fields.length === 0 ? null : Object.fromEntries(fields),
    additional_injections:
      additional.length === 0
        ? null
        : additional.map(({ target, key, valueSource }) => ({ target, key, value_source: valueSource })),
  }
}

/** Bearer and Basic credentials have their one place by RFC 6750 and RFC 7617; the others go where they are told. */
function effectiveInjection(type: Exclude<CredentialType, 'aws_sigv4'>, injection: Injection): Injection {
  if (type === 'bearer') return { ...injection, header: 'Authorization', format: 'Bearer {token}' }
  if (type === 'basic') return { ...injection, header: 'Authorization', format: 'Basic {token}' }
  return injection
}

function mainToken(credential: Exclude<CredentialValue, { type: 'aws_sigv4' }>): string {
  return credential.type === 'basic' ? credential.encoded.reveal() : credential.token.reveal()
}

/** A function as replacement: in text `$&` of a token would be an instruction. */
function fillFormat(format: string, token: string): string {
  return format.replace('{token}', () => token)
}

function sourceValue(credential: Exclude<CredentialValue, { type: 'aws_sigv4' }>, valueSource: string): string {
  if (valueSource === 'token') return mainToken(credential)
  const name = valueSource.slice('additional_credentials.'.length)
  const field = credential.type === 'custom' ? credential.fields.get(name) : undefined
  if (field === undefined)
    throw new Error(`The injection reads the field "${name}", which the credential does not have.`)
  return field.reveal()
}

function decodedName(pair: string): string {
  const [name] = new URLSearchParams(pair).keys()
  return name ?? ''
}
