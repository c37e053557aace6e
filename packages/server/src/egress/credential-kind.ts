import type { Secret } from '../crypto/secret.ts'
import type { FieldError } from '../kernel/vault-error.ts'
import type { AwsClockSkew } from './aws-clock-skew.ts'
import type { CanonicalUrl } from './canonical-url.ts'
import type { HeaderList } from './header-rules.ts'
import type { Injection, InjectionTraits } from './injection.ts'

/** The kinds of credential that can be stored and injected. */
export const CREDENTIAL_TYPES = ['bearer', 'api_key', 'basic', 'aws_sigv4', 'custom'] as const
export type CredentialType = (typeof CREDENTIAL_TYPES)[number]

/** A credential in the clear. Everything that could be used elsewhere is a `Secret`. */
export type CredentialValue =
  | { type: 'bearer'; token: Secret }
  | { type: 'api_key'; token: Secret }
  | { type: 'basic'; username: string; password: Secret; encoded: Secret }
  | {
      type: 'aws_sigv4'
      accessKeyId: string
      secretAccessKey: Secret
      sessionToken: Secret | undefined
      region: string | undefined
      service: string | undefined
    }
  | { type: 'custom'; token: Secret; fields: ReadonlyMap<string, Secret> }

export type ValueOf<T extends CredentialType> = Extract<CredentialValue, { type: T }>

/** The names a credential takes on a request: headers in lower case, query names as they are. */
export type InjectedNames = { headers: string[]; queryParams: string[] }

/** The members of a retrieve answer that carry the credential (docs/spec/wire-protocol.md#retrieving-a-credential). Plaintext. */
export type RetrieveFields = {
  access_token: string
  token_type: 'Bearer' | 'Basic'
  injection_header: string
  injection_format: string
  additional_credentials: Record<string, string> | null
  additional_injections: { target: 'header' | 'query_param'; key: string; value_source: string }[] | null
}

type Call = { method: string; url: CanonicalUrl; headers: HeaderList; body: Buffer | undefined }
type Answer = Parameters<AwsClockSkew['learn']>[1]

/** An opened credential, ready for one use. */
export type Opened = {
  /** What to search for in everything that comes back or is recorded. Plaintext. */
  secrets: string[]
  /** The call with the credential on it: plaintext from here on, for the upstream only. */
  apply(call: Call): { url: CanonicalUrl; headers: HeaderList }
  /** The same as told to a client that will do it itself. */
  retrieve(): RetrieveFields
  /** `again`: nothing was executed, and the same call, applied anew, may be sent once more. */
  onAnswer?(call: Call, answer: Answer): 'again' | undefined
}

/** What opening needs besides the value. */
export type OpenContext = { awsClockSkew: AwsClockSkew }

/** One kind of credential. Whoever uses a credential knows its row, and no name of a kind. */
export type CredentialKind<Value extends CredentialValue = CredentialValue> = InjectionTraits & {
  type: Value['type']
  /** The members of its JSON. */
  members: readonly string[]
  /** How a space in a query parameter is written. */
  querySpace: '+' | '%20'
  parse(read: CredentialMembers): Value
  /** What `parse` reads back: the JSON to seal, in one canonical shape. Plaintext. */
  toJson(value: Value): Record<string, unknown>
  /** Every string that must never be seen; the first is the one that lists show the end of. */
  secrets(value: Value): string[]
  /** The names that `injection` takes, without opening anything. */
  injectedNames(injection: Injection): InjectedNames
  open(value: Value, injection: Injection, context: OpenContext): Opened
}

/** The JSON of a value while it is read. Faults are collected; no message repeats a value. */
export type CredentialMembers = { record: Record<string, unknown>; pointer: string; errors: FieldError[] }

/** The longest value a header can be trusted to carry. */
export const MAX_CREDENTIAL_LENGTH = 8_192
const VISIBLE_ASCII = /^[\u0021-\u007e](?:[\u0020-\u007e]*[\u0021-\u007e])?$/

export const isHeaderText = (text: string): boolean => VISIBLE_ASCII.test(text)

export function fault({ pointer, errors }: CredentialMembers, member: string, code: string, message: string): '' {
  errors.push({ pointer: member === '' ? pointer : `${pointer}/${member}`, code, message })
  return ''
}

/** Text that a header can carry unchanged. */
export function headerText(read: CredentialMembers, member: string): string {
  const value = read.record[member]
  if (typeof value !== 'string' || value === '') return fault(read, member, 'required', `"${member}" is missing.`)
  if (value.length > MAX_CREDENTIAL_LENGTH) {
    const message = `"${member}" has ${value.length} characters; at most ${MAX_CREDENTIAL_LENGTH}.`
    return fault(read, member, 'too_long', message)
  }
  if (isHeaderText(value)) return value
  const message = `"${member}" may hold visible ASCII only, with no space at either end.`
  return fault(read, member, 'invalid_characters', message)
}

/** A member's name as it is written in a pointer. */
export const pointerName = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1')
/** A name that came from outside, as messages show it. */
export const shownName = (name: string): string => name.replace(/[^ -~]/g, '?').slice(0, 60)
