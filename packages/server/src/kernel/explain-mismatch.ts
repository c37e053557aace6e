import { Format } from 'typebox/format'
import type { JsonSchema } from './json-schema.ts'
import type { FieldError } from './vault-error.ts'

/** More would not help anybody. */
const MAX_ERRORS = 20
const MAX_NAMES_LISTED = 12

/** How a place is written into messages: the last name of the pointer, or what the whole is called. */
type Place = { pointer: string; name: string }

/**
 * Says what is wrong with `value`, one fault per place, in the words of the caller's own field names. Empty when nothing is.
 *
 * It is the slow twin of the compiled check and finds a fault exactly when that does, for the keywords of `JsonSchema`. Text is
 * quoted back only where the schema lists the allowed values: a secret put into the wrong field must not come back in an error.
 */
export function explainMismatch(schema: JsonSchema, value: unknown, whole: string): FieldError[] {
  const errors: FieldError[] = []
  explain(schema, value, { pointer: '', name: whole }, errors)
  return errors.slice(0, MAX_ERRORS)
}

function explain(schema: JsonSchema, value: unknown, place: Place, errors: FieldError[]): void {
  const report = (code: string, message: string) => {
    errors.push({ pointer: place.pointer, code, message: `${place.name} ${message}` })
  }

  if (schema.enum !== undefined || schema.const !== undefined) {
    const allowed = schema.enum ?? [schema.const]
    if (!allowed.includes(value)) report('not_allowed_value', `must be ${list(allowed.map(quote))}; got ${said(value)}`)
    return
  }
  const variants = schema.anyOf
  if (variants !== undefined) {
    explainVariants(variants, value, place, errors)
    return
  }
  if (schema.type !== undefined && !hasType(schema.type, value)) {
    report('invalid_type', `must be ${describe(schema)}; got ${came(value)}`)
    return
  }
  if (typeof value === 'string') explainText(schema, value, report)
  else if (typeof value === 'number') explainNumber(schema, value, report)
  else if (Array.isArray(value)) explainArray(schema, value, place, report, errors)
  else if (typeof value === 'object' && value !== null) {
    explainObject(schema, value as Record<string, unknown>, place, errors)
  }
  for (const part of schema.allOf ?? []) explain(part, value, place, errors)
  if (schema.unevaluatedProperties === false && typeof value === 'object' && value !== null) {
    const known = new Set((schema.allOf ?? []).flatMap((part) => Object.keys(part.properties ?? {})))
    for (const name of Object.keys(schema.properties ?? {})) known.add(name)
    for (const name of Object.keys(value)) {
      if (errors.length > MAX_ERRORS) return
      if (!known.has(name)) errors.push(unknownField(place, name, [...known]))
    }
  }
}

type Report = (code: string, message: string) => void

function explainText(schema: JsonSchema, value: string, report: Report): void {
  const length = codePoints(value)
  if (schema.minLength !== undefined && length < schema.minLength) {
    if (schema.minLength === 1) report('too_short', 'must not be empty')
    else report('too_short', `must have at least ${schema.minLength} characters; got ${length}`)
  } else if (schema.maxLength !== undefined && length > schema.maxLength) {
    report('too_long', `must have at most ${schema.maxLength} characters; got ${length}`)
  } else if (schema.pattern !== undefined && !new RegExp(schema.pattern, 'u').test(value)) {
    report('invalid_format', `must be ${describe(schema)}; got ${came(value)} of another form`)
  } else if (schema.format !== undefined && !Format.Test(schema.format, value)) {
    report('invalid_format', `must be ${describe(schema)}; got ${came(value)} of another form`)
  }
}

function explainNumber(schema: JsonSchema, value: number, report: Report): void {
  const { minimum, maximum } = schema
  if ((minimum !== undefined && value < minimum) || (maximum !== undefined && value > maximum)) {
    report('out_of_range', `must be ${describe(schema)}; got ${value}`)
  }
}

function explainArray(schema: JsonSchema, value: unknown[], place: Place, report: Report, errors: FieldError[]): void {
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    report('too_few', `must have at least ${count(schema.minItems, 'element')}; got ${value.length}`)
  } else if (schema.maxItems !== undefined && value.length > schema.maxItems) {
    report('too_many', `must have at most ${count(schema.maxItems, 'element')}; got ${value.length}`)
  }
  if (schema.items === undefined) return
  for (const [index, element] of value.entries()) {
    if (errors.length > MAX_ERRORS) return
    explain(schema.items, element, { pointer: `${place.pointer}/${index}`, name: `${place.name}[${index}]` }, errors)
  }
}

function explainObject(schema: JsonSchema, value: Record<string, unknown>, place: Place, errors: FieldError[]): void {
  for (const name of schema.required ?? []) {
    if (value[name] === undefined || !Object.hasOwn(value, name)) {
      const part = schema.properties?.[name]
      const expected = part === undefined ? '' : `; expected ${describe(part)}`
      errors.push({ pointer: at(place, name), code: 'required', message: `${quote(name)} is missing${expected}` })
    }
  }
  const patterns = Object.entries(schema.patternProperties ?? {}).map(
    ([pattern, part]) => [new RegExp(pattern, 'u'), part] as const,
  )
  for (const name of Object.keys(value)) {
    if (errors.length > MAX_ERRORS) return
    const member = value[name]
    const inside = { pointer: at(place, name), name: quote(name) }
    const declared = schema.properties !== undefined && Object.hasOwn(schema.properties, name)
    if (declared && member !== undefined) explain(schema.properties![name]!, member, inside, errors)
    const matching = patterns.filter(([pattern]) => pattern.test(name))
    for (const [, part] of matching) explain(part, member, inside, errors)
    if (declared || matching.length > 0) continue
    if (schema.additionalProperties === false) {
      errors.push(unknownField(place, name, Object.keys(schema.properties ?? {})))
    } else if (typeof schema.additionalProperties === 'object') {
      explain(schema.additionalProperties, member, inside, errors)
    }
  }
}

/** Of several forms, talks about the one that was meant: the only one of the value's type whose constants all agree. */
function explainVariants(variants: readonly JsonSchema[], value: unknown, place: Place, errors: FieldError[]): void {
  const found: { variant: JsonSchema; faults: FieldError[] }[] = []
  for (const variant of variants) {
    const faults: FieldError[] = []
    explain(variant, value, place, faults)
    if (faults.length === 0) return
    found.push({ variant, faults })
  }
  const meant = found.filter(({ variant, faults }) => {
    const constants = Object.keys(variant.properties ?? {}).filter(
      (name) => variant.properties![name]!.const !== undefined,
    )
    const wrong = new Set(constants.map((name) => at(place, name)))
    return (
      faults.every((fault) => fault.pointer !== place.pointer || fault.code !== 'invalid_type') &&
      faults.every((fault) => !wrong.has(fault.pointer))
    )
  })
  if (meant.length === 1) {
    errors.push(...meant[0]!.faults)
    return
  }
  const named = discriminatorOf(variants)
  if (named !== undefined && hasType('object', value)) {
    const { name, words } = named
    const member = (value as Record<string, unknown>)[name]
    const message = `${quote(name)} must be ${list(words.map(quote))}; got ${said(member)}`
    errors.push({ pointer: at(place, name), code: 'not_allowed_value', message })
    return
  }
  const plain = variants.every((variant) => variant.const !== undefined || variant.type === 'null')
  errors.push({
    pointer: place.pointer,
    code: plain ? 'not_allowed_value' : 'invalid_type',
    message: `${place.name} must be ${list([...new Set(variants.map(describe))])}; got ${plain ? said(value) : came(value)}`,
  })
}

/** The member whose constant tells every variant from the others, such as `type`. */
function discriminatorOf(variants: readonly JsonSchema[]): { name: string; words: unknown[] } | undefined {
  for (const name of Object.keys(variants[0]?.properties ?? {})) {
    const words = variants.map((variant) => variant.properties?.[name]?.const)
    if (words.every((word) => word !== undefined) && new Set(words).size === words.length) return { name, words }
  }
  return undefined
}

function unknownField(place: Place, name: string, known: readonly string[]): FieldError {
  const names = known.slice(0, MAX_NAMES_LISTED).map(quote).join(', ')
  const rest = known.length > MAX_NAMES_LISTED ? ', …' : ''
  const expected = known.length === 0 ? 'no field is expected here' : `known here: ${names}${rest}`
  return {
    pointer: at(place, name),
    code: 'unknown_field',
    message: `${quote(name)} is not a known field; ${expected}`,
  }
}

/** What a schema asks for, as a noun. */
function describe(schema: JsonSchema): string {
  if (schema.enum !== undefined) return list(schema.enum.map(quote))
  if (schema.const !== undefined) return quote(schema.const)
  const variants = schema.anyOf
  if (variants !== undefined) return list([...new Set(variants.map(describe))])
  if (schema.type === 'string') {
    if (schema.description !== undefined) return schema.description
    if (schema.pattern?.startsWith('^[0-9a-f]{8}-')) return 'a UUID'
    if (schema.pattern?.startsWith('^\\d{4}-\\d{2}-\\d{2}T'))
      return 'a time with a zone, such as "2026-01-31T09:30:00Z"'
    if (schema.pattern !== undefined) return `a text matching ${schema.pattern}`
    if (schema.format !== undefined && schema.format !== 'plain-name') return `a text of the form "${schema.format}"`
    return 'a text'
  }
  if (schema.type === 'integer' || schema.type === 'number') {
    const noun = schema.type === 'integer' ? 'an integer' : 'a number'
    const { minimum, maximum } = schema
    if (minimum !== undefined && maximum !== undefined) return `${noun} from ${minimum} to ${maximum}`
    if (minimum !== undefined) return `${noun} of at least ${minimum}`
    if (maximum !== undefined) return `${noun} of at most ${maximum}`
    return noun
  }
  if (schema.type === 'boolean') return 'true or false'
  if (schema.type === 'null') return 'null'
  if (schema.type === 'array') return 'a list'
  if (schema.type === 'object' || schema.properties !== undefined || schema.allOf !== undefined) return 'an object'
  return 'a value'
}

/** What came, by its kind; text by its length only. */
function came(value: unknown): string {
  if (value === null) return 'null'
  if (value === undefined) return 'nothing'
  if (typeof value === 'string')
    return value === '' ? 'an empty text' : `a text of ${count(codePoints(value), 'character')}`
  if (typeof value === 'number') return `the number ${value}`
  if (typeof value === 'boolean') return String(value)
  return Array.isArray(value) ? 'a list' : 'an object'
}

/** What came where a word of a short list was expected: the word itself, when it looks like one. */
const said = (value: unknown): string =>
  typeof value === 'string' && /^[\w.:-]{1,24}$/.test(value) && !value.startsWith('alter_') ? quote(value) : came(value)

function hasType(type: string, value: unknown): boolean {
  switch (type) {
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value)
    case 'array':
      return Array.isArray(value)
    case 'integer':
      return Number.isInteger(value)
    case 'number':
      return Number.isFinite(value)
    case 'null':
      return value === null
    default:
      return typeof value === type
  }
}

/** Exact where somebody may count along. */
const codePoints = (text: string): number => (text.length > 100_000 ? text.length : [...text].length)
const count = (amount: number, noun: string): string => `${amount} ${noun}${amount === 1 ? '' : 's'}`
const quote = (value: unknown): string => JSON.stringify(value)
const at = (place: Place, name: string): string =>
  `${place.pointer}/${name.slice(0, 80).replaceAll('~', '~0').replaceAll('/', '~1')}`

function list(items: readonly string[]): string {
  if (items.length <= 1) return items[0] ?? 'nothing'
  return `${items.slice(0, -1).join(', ')} or ${items.at(-1)}`
}
