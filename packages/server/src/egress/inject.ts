import type { Secret } from '../crypto/secret.ts'
import { skeletonOf, skeletonsOf } from '../kernel/names.ts'
import { appendPairs, formEncode } from './append-query.ts'
import { type CanonicalUrl, withQuery } from './canonical-url.ts'
import type { InjectedNames, Opened, RetrieveFields } from './credential-kind.ts'
import type { HeaderList } from './header-rules.ts'
import type { Injection, InjectionTraits } from './injection.ts'

/** A caller's request without what the credential will set. */
export type Cleared = { url: CanonicalUrl; headers: HeaderList; dropped: InjectedNames }

/** A credential whose token travels on the request. */
export type Carried = {
  kind: InjectionTraits
  injection: Injection
  tokenType: RetrieveFields['token_type']
  token: Secret
  fields?: ReadonlyMap<string, Secret>
}

/** What a standard fixes of an injection holds whatever the rules say; the rest goes where it is told. */
function effectiveInjection({ standard }: InjectionTraits, injection: Injection): Injection {
  return standard === null ? injection : { ...injection, header: 'Authorization', format: standard.format }
}

/** The names that a credential of this kind takes on a request. */
export function takenNames(kind: InjectionTraits, injection: Injection): InjectedNames {
  const { header, additional } = effectiveInjection(kind, injection)
  const names: InjectedNames = { headers: [header.toLowerCase()], queryParams: [] }
  for (const { target, key } of additional) {
    if (target === 'header') names.headers.push(key.toLowerCase())
    else names.queryParams.push(key)
  }
  return names
}

/**
 * Drops the caller's own headers and query parameters of the names that will be injected, or that a reader may take for them, and says
 * which were there.
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
  const taken = new Map(names.queryParams.map((name) => [skeletonOf(name), name]))
  const keptPairs = url.query.split('&').filter((pair) => {
    const name = takenBy(pair, taken)
    if (name === undefined) return true
    if (!dropped.queryParams.includes(name)) dropped.queryParams.push(name)
    return false
  })
  const clearedUrl = dropped.queryParams.length === 0 ? url : withQuery(url, keptPairs.join('&'))
  return { url: clearedUrl, headers: keptHeaders, dropped }
}

/** Opens a credential that goes on requests in the places that its injection names. */
export const openCarried = (carried: Carried, secrets: string[]): Opened => ({
  secrets,
  apply: (call) => inject(carried, call),
  retrieve: () => retrieveFields(carried),
})

/** Puts a token on a request. The caller's values of the same names are dropped here once more, whatever happened before. */
function inject(carried: Carried, call: { url: CanonicalUrl; headers: HeaderList }): ReturnType<Opened['apply']> {
  const { header, format, additional } = effectiveInjection(carried.kind, carried.injection)
  const names = takenNames(carried.kind, carried.injection)
  const { url, headers } = dropInjectedNames(names, call.url, call.headers)
  headers.push([header.toLowerCase(), fillFormat(format, carried.token.reveal())])
  const pairs: string[] = []
  for (const { target, key, valueSource } of additional) {
    const value = sourceValue(carried, valueSource)
    if (target === 'header') headers.push([key.toLowerCase(), value])
    else pairs.push(`${formEncode(key)}=${formEncode(value, '%20')}`)
  }
  return { url: appendPairs(url, pairs), headers }
}

function retrieveFields({ kind, injection, tokenType, token, fields }: Carried): RetrieveFields {
  const { header, format, additional } = effectiveInjection(kind, injection)
  const injections = additional.map(({ target, key, valueSource }) => ({ target, key, value_source: valueSource }))
  return {
    access_token: token.reveal(),
    token_type: tokenType,
    injection_header: header,
    injection_format: format,
    additional_credentials: fields === undefined || fields.size === 0 ? null : revealed(fields),
    additional_injections: injections.length === 0 ? null : injections,
  }
}

/** Named fields in the clear. */
export const revealed = (fields: ReadonlyMap<string, Secret>): Record<string, string> =>
  Object.fromEntries([...fields].map(([name, field]) => [name, field.reveal()]))

/** A function as replacement: in text `$&` of a token would be an instruction. */
function fillFormat(format: string, token: string): string {
  return format.replace('{token}', () => token)
}

function sourceValue({ token, fields }: Carried, valueSource: string): string {
  if (valueSource === 'token') return token.reveal()
  const name = valueSource.slice('additional_credentials.'.length)
  const field = fields?.get(name)
  if (field === undefined)
    throw new Error(`The injection reads the field "${name}", which the credential does not have.`)
  return field.reveal()
}

/** The injected name that some reader finds in a pair, also behind a `;`. */
function takenBy(pair: string, taken: ReadonlyMap<string, string>): string | undefined {
  const names = pair.split(';').flatMap((part) => [...new URLSearchParams(part).keys()])
  return names
    .flatMap(skeletonsOf)
    .map((skeleton) => taken.get(skeleton))
    .find((name) => name !== undefined)
}
