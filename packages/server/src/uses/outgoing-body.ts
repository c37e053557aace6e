import { formEncode } from '../egress/append-query.ts'
import type { HeaderList } from '../egress/header-rules.ts'
import { invalidField } from '../kernel/vault-error.ts'
import { compactMember } from '../kernel/written-json.ts'
import { bodyKindOf } from '../policy/request-body.ts'

// Raw JSON text (ES2026); Node 24 has it, the library of TypeScript 7 does not yet.
declare global {
  interface JSON {
    rawJSON(text: string): object
    isRawJSON(value: unknown): boolean
  }
}

/** A number that JavaScript would write differently: `1.0`, `1e5`, or more digits than a double holds. */
const NUMBER_IN_DOUBT = /\d[.eE]|\d{16}/

/** A body with its compact text, where `JSON.stringify` would write its numbers in another way than they came. */
class WrittenBody {
  readonly value: unknown
  readonly text: string

  constructor(value: unknown, text: string) {
    this.value = value
    this.text = text
  }
}

/**
 * The body of a request for `encodeBody`, so that an id of twenty digits or `450.00` reaches the provider unchanged. `text` is the whole
 * request and `value` what `JSON.parse` made of its member "body".
 */
export function bodyAsWritten(value: unknown, text: string): unknown {
  if (value === undefined || !NUMBER_IN_DOUBT.test(text)) return value
  return new WrittenBody(value, compactMember(text, 'body')!)
}

/** Called for each value, so only where their number is small. */
function withNumbersAsWritten(text: string): unknown {
  return JSON.parse(text, (_name, parsed: unknown, context?: { source?: string }) => {
    const source = context?.source
    return typeof parsed === 'number' && source !== undefined && String(parsed) !== source
      ? JSON.rawJSON(source)
      : parsed
  })
}

/**
 * The bytes that a call sends, and its headers with a content type (docs/spec/wire-protocol.md#proxied-calls): compact JSON; a form or a
 * text where the caller's content type says so. Any other pairing is 422 `validation_failed`.
 */
export function encodeBody(given: unknown, headers: HeaderList): { bytes: Buffer | undefined; headers: HeaderList } {
  const body = given instanceof WrittenBody ? given.value : given
  const jsonBytes = () => Buffer.from(given instanceof WrittenBody ? given.text : JSON.stringify(body))
  if (body === undefined) return { bytes: undefined, headers }
  const contentType = headers.find(([name]) => name === 'content-type')?.[1]
  if (contentType === undefined) {
    return { bytes: jsonBytes(), headers: [...headers, ['content-type', 'application/json']] }
  }
  switch (bodyKindOf(contentType)?.kind) {
    case 'json':
      return { bytes: jsonBytes(), headers }
    case 'form':
      if (!isPlainObject(body))
        throw mismatch('an object of texts, numbers, booleans or lists of them to be sent as a form')
      assertSmallForm(body)
      return { bytes: Buffer.from(formOf(writtenForm(given, body))), headers }
    case 'other':
      if (typeof body === 'string') return { bytes: Buffer.from(body), headers }
      throw mismatch(`a text to be sent as "${contentType.slice(0, 80)}"`)
    case undefined:
      throw invalidField(
        '/headers/content-type',
        '"content-type" must be a media type such as "application/json", and bodies are sent in UTF-8: no other "charset" can be named.',
        'invalid_value',
      )
  }
}

/** The fields with numbers as the caller wrote them. */
const writtenForm = (given: unknown, body: Record<string, unknown>): Record<string, unknown> =>
  given instanceof WrittenBody ? (withNumbersAsWritten(given.text) as Record<string, unknown>) : body

const mismatch = (what: string) => invalidField('/body', `"body" must be ${what}.`, 'invalid_type')

const MAX_FORM_FIELDS = 10_000
const MAX_FORM_LENGTH = 4 * 1024 * 1024

/** A form is written in one go, and takes up to three times the length of its text. */
function assertSmallForm(body: Record<string, unknown>): void {
  let fields = 0
  let length = 0
  for (const name of Object.keys(body)) {
    const values = Array.isArray(body[name]) ? (body[name] as unknown[]) : [body[name]]
    fields += values.length
    for (const value of values) length += name.length + (typeof value === 'string' ? value.length : 0)
    if (fields > MAX_FORM_FIELDS || length > MAX_FORM_LENGTH) break
  }
  if (fields <= MAX_FORM_FIELDS && length <= MAX_FORM_LENGTH) return
  throw invalidField(
    '/body',
    `"body" may hold at most ${MAX_FORM_FIELDS} fields and ${MAX_FORM_LENGTH} characters to be sent as a form.`,
    'too_many',
  )
}

function formOf(body: Record<string, unknown>): string {
  const pairs: string[] = []
  for (const [name, value] of Object.entries(body)) {
    for (const item of Array.isArray(value) ? (value as unknown[]) : [value]) {
      const pointer = `/body/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
      if (item !== null && typeof item === 'object' && !isRawNumber(item)) {
        throw invalidField(
          pointer,
          `"${name}" in "body" must be a text, number, boolean or a list of them to be sent in a form.`,
          'invalid_type',
        )
      }
      pairs.push(
        `${formEncode(name)}=${formEncode(item === null ? '' : typeof item === 'string' ? item : JSON.stringify(item))}`,
      )
    }
  }
  return pairs.join('&')
}

const isRawNumber = (value: object): boolean => JSON.isRawJSON(value)

const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
