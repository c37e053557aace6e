import { PLAIN_NAME_FORMAT } from '@alter-vault/contracts'
import type Type from 'typebox'
import { Compile } from 'typebox/compile'
import { explainMismatch } from '../kernel/explain-mismatch.ts'
import { closedSchema, type JsonSchema } from '../kernel/json-schema.ts'
import { type FieldError, VaultError } from '../kernel/vault-error.ts'
import { queryValues } from './query-values.ts'

/** Which API the input belongs to decides the code of a refusal. */
export type InputStyle = {
  /** Problems have one code for unknown fields and one for query names; the flat envelope knows one for all shape faults. */
  problem: boolean
  /** A member that is null counts as absent. */
  nullIsAbsent: boolean
  /** Unknown members are ignored. */
  lenient?: boolean
}

// C0, DEL and C1 controls, line and paragraph separators, and everything that changes the direction of text.
const UNFIT_FOR_NAMES = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u

/** Checks a JSON body against its schema; returns it with names in NFC and without absent members. Compiled once. */
export function compileBody<S extends Type.TSchema>(schema: S, style: InputStyle): (value: unknown) => Type.Static<S> {
  const open = schema as unknown as JsonSchema
  const closed = style.lenient === true ? open : closedSchema(open)
  const validator = Compile(closed as unknown as Type.TSchema)
  return (value) => {
    const unfit: FieldError[] = []
    const prepared = prepare(closed, value, '', style.nullIsAbsent, unfit)
    if (unfit.length > 0) throw refusal('invalid_characters', unfit)
    if (validator.Check(prepared)) return prepared as Type.Static<S>
    throw shapeRefusal(explain(validator, closed, prepared, 'The body'), style)
  }
}

/** Checks query parameters; returns them as the values their schema asks for. An unknown name is refused. */
export function compileQuery<S extends Type.TSchema>(
  schema: S,
  style: InputStyle,
): (query: URLSearchParams) => Type.Static<S> {
  const closed = closedSchema(schema as unknown as JsonSchema)
  const validator = Compile(closed as unknown as Type.TSchema)
  return (query) => {
    const { values, errors } = queryValues(closed, query)
    const unknown = Object.keys(values).filter((name) => closed.properties?.[name] === undefined)
    if (style.problem && unknown.length > 0) {
      throw refusal(
        'unknown_parameter',
        explainMismatch(closed, values, 'The query').filter(isUnknownField).map(inQuery),
      )
    }
    if (errors.length > 0) throw refusal('validation_failed', errors)
    const unfit: FieldError[] = []
    const prepared = prepare(closed, values, '', false, unfit)
    if (unfit.length > 0) throw refusal('invalid_characters', unfit.map(inQuery))
    if (validator.Check(prepared)) return prepared as Type.Static<S>
    throw shapeRefusal(explain(validator, closed, prepared, 'The query').map(inQuery), { ...style, problem: false })
  }
}

/** Checks declared request headers (lower-case names); others are left out. */
export function compileHeaders<S extends Type.TSchema>(
  schema: S,
): (headers: Readonly<Record<string, string | string[] | undefined>>) => Type.Static<S> {
  const declared = schema as unknown as JsonSchema
  const validator = Compile(schema)
  return (headers) => {
    const values: Record<string, unknown> = {}
    for (const name of Object.keys(declared.properties ?? {})) {
      const value = headers[name]
      if (value !== undefined) values[name] = Array.isArray(value) ? value.join(', ') : value
    }
    if (validator.Check(values)) return values as Type.Static<S>
    throw refusal(
      'validation_failed',
      explain(validator, declared, values, 'The header').map((error) => ({
        ...error,
        pointer: `header:${error.pointer.slice(1)}`,
      })),
    )
  }
}

/**
 * Checks path parameters. A wrong one is not a fault of shape: an id nobody could have gives the same answer as one that nobody
 * has, so this says which parameter it was and the listener refuses with `<noun>_not_found`.
 */
export function compileParams<S extends Type.TSchema>(
  schema: S,
): (params: Readonly<Record<string, string>>) => { params: Type.Static<S> } | { wrong: string } {
  const declared = schema as unknown as JsonSchema
  const validator = Compile(schema)
  return (params) => {
    const values: Record<string, unknown> = {}
    for (const [name, text] of Object.entries(params)) {
      if (text.includes('\0')) return { wrong: name }
      values[name] = text
    }
    if (validator.Check(values)) return { params: values as Type.Static<S> }
    return { wrong: explainMismatch(declared, values, 'The path')[0]?.pointer.slice(1) ?? '' }
  }
}

const isUnknownField = (error: FieldError): boolean => error.code === 'unknown_field'
const inQuery = (error: FieldError): FieldError => ({ ...error, pointer: `query:${error.pointer.slice(1)}` })

function explain(
  validator: { Errors(value: unknown): { instancePath: string; message: string }[] },
  schema: JsonSchema,
  value: unknown,
  whole: string,
): FieldError[] {
  const errors = explainMismatch(schema, value, whole)
  if (errors.length > 0) return errors
  // A keyword that the explanation does not know, a refinement for one: the compiled check's own words.
  return validator.Errors(value).map(({ instancePath, message }) => ({
    pointer: instancePath,
    code: 'invalid',
    message: `${instancePath === '' ? whole : JSON.stringify(instancePath.slice(instancePath.lastIndexOf('/') + 1))} ${message}`,
  }))
}

function shapeRefusal(errors: FieldError[], style: InputStyle): VaultError {
  return refusal(style.problem && errors.every(isUnknownField) ? 'unknown_field' : 'validation_failed', errors)
}

function refusal(
  code: 'validation_failed' | 'unknown_field' | 'unknown_parameter' | 'invalid_characters',
  errors: FieldError[],
): VaultError {
  const first = errors[0]?.message ?? 'The request has another form than expected'
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more in "errors")` : ''
  return new VaultError(code, { message: `${first}${more}. Nothing was done.`, errors })
}

/**
 * The value as it is checked and used: absent members left out, names in NFC. Reports text that PostgreSQL cannot store (NUL) and
 * names that cannot be shown. The input is not changed.
 */
function prepare(
  schema: JsonSchema,
  value: unknown,
  pointer: string,
  nullIsAbsent: boolean,
  unfit: FieldError[],
): unknown {
  if (typeof value === 'string') {
    const isName =
      schema.format === PLAIN_NAME_FORMAT || (schema.anyOf?.some((part) => part.format === PLAIN_NAME_FORMAT) ?? false)
    const text = isName ? value.normalize('NFC') : value
    if (isName ? UNFIT_FOR_NAMES.test(text) : text.includes('\0')) {
      unfit.push(isName ? unfitAt(pointer, 'control characters, line breaks or direction overrides') : nulIn(pointer))
    }
    return text
  }
  if (Object.keys(schema).length === 0) {
    // Anything goes here, so nothing is made anew.
    if (holdsNul(value)) unfit.push(nulWithin(value, pointer))
    return value
  }
  if (typeof value === 'object' && value !== null) assertFewMembers(value, pointer)
  if (Array.isArray(value)) {
    const items = schema.items ?? schema.anyOf?.find((part) => part.items !== undefined)?.items ?? {}
    return value.map((element, index) => prepare(items, element, `${pointer}/${index}`, nullIsAbsent, unfit))
  }
  if (typeof value !== 'object' || value === null) return value
  const form = formOf(schema, value as Record<string, unknown>)
  const prepared: Record<string, unknown> = {}
  for (const [name, member] of Object.entries(value)) {
    if (name.includes(NUL)) unfit.push(nulInName(pointer))
    const property =
      form.properties !== undefined && Object.hasOwn(form.properties, name) ? form.properties[name]! : undefined
    if (nullIsAbsent && member === null && property !== undefined && !acceptsNull(property)) continue
    define(prepared, name, prepare(property ?? {}, member, at(pointer, name), nullIsAbsent, unfit))
  }
  return prepared
}

/** More than any declared list or object takes. */
const MAX_MEMBERS = 10_000

function assertFewMembers(value: object, pointer: string): void {
  const count = Array.isArray(value) ? value.length : Object.keys(value).length
  if (count <= MAX_MEMBERS) return
  const message = `${pointer === '' ? 'The body' : JSON.stringify(pointer.slice(1))} holds ${count} members; at most ${MAX_MEMBERS} are read`
  throw refusal('validation_failed', [{ pointer, code: 'too_many', message }])
}

const NUL = '\0'

function holdsNul(value: unknown): boolean {
  if (typeof value === 'string') return value.includes(NUL)
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some(holdsNul)
  return Object.keys(value).some((name) => name.includes(NUL) || holdsNul((value as Record<string, unknown>)[name]))
}

/** The first place of a NUL in a value that holds one. */
function nulWithin(value: unknown, pointer: string): FieldError {
  if (typeof value === 'string') return nulIn(pointer)
  for (const [name, member] of Object.entries(value as object)) {
    if (name.includes(NUL)) return nulInName(pointer)
    if (holdsNul(member)) return nulWithin(member, at(pointer, name))
  }
  return nulIn(pointer)
}

const at = (pointer: string, name: string): string => `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
const nulIn = (pointer: string): FieldError => unfitAt(pointer, 'NUL characters')
const nulInName = (pointer: string): FieldError => ({
  pointer,
  code: 'invalid_characters',
  message: 'A member name must not contain NUL characters',
})

function unfitAt(pointer: string, what: string): FieldError {
  const field = JSON.stringify(pointer.slice(pointer.lastIndexOf('/') + 1))
  return { pointer, code: 'invalid_characters', message: `${field} must not contain ${what}` }
}

/** Assignment would call the setter of `__proto__`. */
function define(object: Record<string, unknown>, name: string, value: unknown): void {
  if (name === '__proto__')
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true })
  else object[name] = value
}

/** Of a union of objects, the variant that knows most of the value's members. */
function formOf(schema: JsonSchema, value: Record<string, unknown>): JsonSchema {
  if (schema.allOf !== undefined) {
    return {
      properties: Object.assign({}, ...schema.allOf.map((part) => part.properties ?? {}), schema.properties ?? {}),
    }
  }
  const variants = schema.anyOf
  if (variants === undefined) return schema
  const known = (variant: JsonSchema) => {
    const constants = Object.entries(variant.properties ?? {}).filter(([, part]) => part.const !== undefined)
    if (constants.some(([name, part]) => value[name] !== part.const)) return -1
    return Object.keys(value).filter((name) => variant.properties?.[name] !== undefined).length
  }
  return variants
    .map((variant) => formOf(variant, value))
    .reduce((best, next) => (known(next) > known(best) ? next : best))
}

function acceptsNull(schema: JsonSchema): boolean {
  if (schema.type === 'null' || schema.const === null || schema.enum?.includes(null)) return true
  if (schema.anyOf !== undefined) return schema.anyOf.some(acceptsNull)
  return (
    schema.type === undefined && schema.enum === undefined && schema.const === undefined && schema.allOf === undefined
  )
}
