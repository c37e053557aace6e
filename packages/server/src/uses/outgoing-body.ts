import { formEncode } from '../egress/append-query.ts'
import type { HeaderList } from '../egress/header-rules.ts'
import { invalidField } from '../kernel/vault-error.ts'
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

/**
 * The members of a parsed request with its numbers as they were written, so that an id of twenty digits or `450.00` reaches
 * the provider unchanged. `value` is `JSON.parse` of `text`; parsing again costs only where a number is in doubt.
 */
export function withNumbersAsWritten(value: unknown, text: string): unknown {
  if (!NUMBER_IN_DOUBT.test(text)) return value
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
export function encodeBody(body: unknown, headers: HeaderList): { bytes: Buffer | undefined; headers: HeaderList } {
  if (body === undefined) return { bytes: undefined, headers }
  const contentType = headers.find(([name]) => name === 'content-type')?.[1]
  if (contentType === undefined) {
    return { bytes: Buffer.from(JSON.stringify(body)), headers: [...headers, ['content-type', 'application/json']] }
  }
  switch (bodyKindOf(contentType)?.kind) {
    case 'json':
      return { bytes: Buffer.from(JSON.stringify(body)), headers }
    case 'form':
      if (isPlainObject(body)) return { bytes: Buffer.from(formOf(body)), headers }
      throw mismatch('an object of texts, numbers, booleans or lists of them to be sent as a form')
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

const mismatch = (what: string) => invalidField('/body', `"body" must be ${what}.`, 'invalid_type')

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
