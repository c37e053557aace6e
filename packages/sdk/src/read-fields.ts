/**
 * Strict reading of JSON objects by wire name: what is not of the promised form is refused, never guessed. Unknown
 * members are ignored, so that a newer vault can say more.
 */
import { AlterValueError } from './errors.ts'
import { type FieldName, wireName } from './wire-names.ts'

/** A form that a value can have. `read` returns `undefined` for any other value. */
export type Form<T> = { expects: string; read: (value: unknown) => T | undefined }

function form<T>(expects: string, accepts: (value: unknown) => boolean): Form<T> {
  return { expects, read: (value) => (accepts(value) ? (value as T) : undefined) }
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const TIMESTAMP = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?$/i

/** Says whether a value is a UUID in canonical form, either case. */
export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value)
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export const anyText = form<string>('a string', (value) => typeof value === 'string')
export const someText = form<string>('a non-empty string', (value) => typeof value === 'string' && value !== '')
export const uuid = form<string>('a UUID', isUuid)
export const timestamp = form<string>(
  'an ISO 8601 timestamp',
  (value) => typeof value === 'string' && TIMESTAMP.test(value) && !Number.isNaN(Date.parse(value)),
)
export const bool = form<boolean>('true or false', (value) => typeof value === 'boolean')
export const integer = form<number>('an integer', Number.isSafeInteger)
export const json = form<unknown>('a JSON value', () => true)
export const jsonObject = form<Record<string, unknown>>('an object', isObject)
export const textList = form<readonly string[]>(
  'a list of strings',
  (value) => Array.isArray(value) && value.every((item) => typeof item === 'string'),
)
export const textMap = form<Readonly<Record<string, string>>>(
  'an object of strings',
  (value) => isObject(value) && Object.values(value).every((item) => typeof item === 'string'),
)
export const textListMap = form<Readonly<Record<string, readonly string[]>>>(
  'an object of lists of strings',
  (value) => isObject(value) && Object.values(value).every((item) => textList.read(item) !== undefined),
)

/** An integer that is not below `minimum`. */
export function integerFrom(minimum: number): Form<number> {
  return form(
    `an integer of at least ${minimum}`,
    (value) => Number.isSafeInteger(value) && (value as number) >= minimum,
  )
}

/** One of the given strings. */
export function oneOf<const T extends readonly string[]>(...words: T): Form<T[number]> {
  return form(words.map((word) => `"${word}"`).join(' or '), (value) => words.includes(value as string))
}

/** Objects that a class of this SDK reads; instances of it pass as they are. */
export function instance<T, A>(Class: new (fields: A) => T): Form<T> {
  return {
    expects: 'an object',
    read: (value) => (value instanceof Class ? value : isObject(value) ? new Class(value as A) : undefined),
  }
}

/** A list of one form, with at least `minimum` items. */
export function listOf<T>(item: Form<T>, minimum = 0): Form<readonly T[]> {
  return {
    expects:
      minimum === 0 ? `a list, each item ${item.expects}` : `a list of at least ${minimum}, each ${item.expects}`,
    read: (value) => {
      if (!Array.isArray(value) || value.length < minimum) return undefined
      const items = value.map((entry) => item.read(entry))
      return items.includes(undefined) ? undefined : (items as T[])
    },
  }
}

/** Reads the fields of one object. Each method throws `AlterValueError` that names the field and what was expected. */
export function readFields(subject: string, value: unknown) {
  if (!isObject(value)) throw new AlterValueError(`${subject} must be an object`)

  function refuse(name: string, expects: string): never {
    throw new AlterValueError(`"${name}" of ${subject} must be ${expects}`, { field: name })
  }
  function at(field: FieldName): { name: string; raw: unknown } {
    const name = wireName(field)
    return { name, raw: Object.hasOwn(value as object, name) ? (value as Record<string, unknown>)[name] : undefined }
  }

  return {
    /** Must be there. */
    required<T>(field: FieldName, wanted: Form<T>): T {
      const { name, raw } = at(field)
      return (raw === undefined ? undefined : wanted.read(raw)) ?? refuse(name, wanted.expects)
    },
    /** May be absent or null; both read as null. */
    optional<T>(field: FieldName, wanted: Form<T>): T | null {
      const { name, raw } = at(field)
      if (raw === undefined || raw === null) return null
      return wanted.read(raw) ?? refuse(name, `${wanted.expects}, null or absent`)
    },
    /** May be absent, but not null. */
    defaulted<T>(field: FieldName, wanted: Form<T>, absent: T): T {
      const { name, raw } = at(field)
      if (raw === undefined) return absent
      return wanted.read(raw) ?? refuse(name, `${wanted.expects} or absent`)
    },
    /** Must be there, but may be null. */
    nullable<T>(field: FieldName, wanted: Form<T>): T | null {
      const { name, raw } = at(field)
      if (raw === null) return null
      return (raw === undefined ? undefined : wanted.read(raw)) ?? refuse(name, `${wanted.expects} or null`)
    },
    /** Whatever is there; for fields that never refuse. */
    raw: (field: FieldName): unknown => at(field).raw,
  }
}
