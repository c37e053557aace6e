/**
 * Objects of the wire by tables that are generated from the contract: snake_case there, camelCase here.
 *
 * Only names that a table holds are ever translated. Keys inside metadata, policies, agent scopes, contexts, query parameters, headers and
 * provider bodies belong to the user: such values pass through whole. What is not of the promised form is refused, never guessed; unknown
 * members of an answer are ignored, so that a newer vault can say more.
 */
import { AlterValueError } from './base-errors.ts'

/** What a value may be. Without a type or alternatives: any JSON. */
export type Shape = {
  readonly type?: 'string' | 'integer' | 'number' | 'boolean' | 'array' | 'object'
  readonly enum?: readonly string[]
  readonly pattern?: RegExp
  /** Of a number its value, of a string its length, of a list its items, of an object its members. */
  readonly min?: number
  readonly max?: number
  /** Of a list. */
  readonly items?: Shape
  /** Of an object with keys of the user's. */
  readonly values?: Shape
  /** Objects with known members; when there are several, members with a single word tell which is meant. */
  readonly oneOf?: () => readonly Known[]
  readonly nullable?: true
  /** Anything else is read as null. */
  readonly nullWhenUnknown?: true
  /** What absence means. Without it, and unless it is optional, the member must be there. */
  readonly default?: unknown
  /** Of what a caller gives: the vault takes null for absent, too. */
  readonly optional?: true
}

export type Fields = Readonly<Record<string, Shape>>

/** Under which a class keeps its table, out of the way of those who use it. */
export const FIELDS: unique symbol = Symbol('fields')

type ModelClass = { readonly [FIELDS]: Fields; new (json: never): Model<object> }
type Known = ModelClass | { readonly fields: Fields }

const TYPES: Readonly<
  Record<NonNullable<Shape['type']>, { noun: string; unit: string; holds: (value: unknown) => boolean }>
> = {
  string: { noun: 'a string', unit: ' characters', holds: (value: unknown) => typeof value === 'string' },
  integer: { noun: 'an integer', unit: '', holds: Number.isSafeInteger },
  number: { noun: 'a number', unit: '', holds: Number.isFinite },
  boolean: { noun: 'true or false', unit: '', holds: (value: unknown) => typeof value === 'boolean' },
  array: { noun: 'a list', unit: ' items', holds: Array.isArray },
  object: { noun: 'an object', unit: ' members', holds: isObject },
}

/** A kind of object that the vault sends. Its JSON form is that of the wire. */
export abstract class Model<Json extends object> {
  static readonly [FIELDS]: Fields

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(json: Json) {
    Object.assign(this, convert(READING, new.target.name, new.target[FIELDS], json))
  }

  toJSON(): Json {
    const { name, [FIELDS]: fields } = this.constructor as typeof Model
    return convert(WRITING, name, fields, this) as Json
  }
}

/**
 * Writes what a caller gave under the names of the wire, defaults filled in.
 * @throws {AlterValueError} naming the property that is unknown or not as it must be
 */
export function writeObject(fields: Fields, object: object): Record<string, unknown> {
  return convert(WRITING, '', fields, object)
}

/** Reads a list of objects and leaves out what is not of their form. */
export function readEach<T>(fields: Fields, list: unknown): T[] {
  const item: Shape = { nullWhenUnknown: true, oneOf: () => [{ fields }] }
  return (Array.isArray(list) ? list : [])
    .map((raw) => convertMember(READING, item, AN_ITEM, raw))
    .filter(isObject) as T[]
}

/** `approval_id` becomes `approvalId`. */
export function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_underscore, letter: string) => letter.toUpperCase())
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Says whether a value is a UUID in canonical form, either case. */
export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)
}

type Direction = {
  source: (name: string) => string
  target: (name: string) => string
  model: (Class: ModelClass, value: object) => unknown
}
const READING: Direction = { source: String, target: camelCase, model: (Class, value) => new Class(value as never) }
const WRITING: Direction = {
  source: camelCase,
  target: String,
  model: (_class, value) => (value as Model<object>).toJSON(),
}

/** Names a member in errors. */
type Place = { field: string; owner: string }
const AN_ITEM: Place = { field: '', owner: '' }

function refuse({ field, owner }: Place, fault: string): never {
  throw new AlterValueError(`"${field}"${owner && ` of ${owner}`} ${fault}`, { field })
}

function convert(direction: Direction, owner: string, fields: Fields, value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw new AlterValueError(`The fields of ${owner} must be an object`)
  const converted: Record<string, unknown> = {}
  const known = new Set<string>()
  for (const [name, shape] of Object.entries(fields)) {
    const field = direction.source(name)
    known.add(field)
    const raw = Object.hasOwn(value, field) ? value[field] : undefined
    const written = convertMember(direction, shape, { field, owner }, raw)
    if (written !== undefined) converted[direction.target(name)] = written
  }
  if (direction === READING) return converted
  const extra = Object.keys(value).find((field) => value[field] !== undefined && !known.has(field))
  return extra === undefined ? converted : refuse({ field: extra, owner }, 'is not known')
}

function convertMember(direction: Direction, shape: Shape, place: Place, raw: unknown): unknown {
  if (raw === undefined && shape.default !== undefined) return structuredClone(shape.default)
  if (raw === undefined && shape.optional) return undefined
  if (raw === null && (shape.nullable || shape.optional)) return null
  try {
    const value = raw === undefined ? undefined : convertValue(direction, shape, place, raw)
    if (value !== undefined) return value
  } catch (error) {
    if (!shape.nullWhenUnknown) throw error
  }
  return shape.nullWhenUnknown ? null : refuse(place, `must be ${expected(shape)}`)
}

/** `undefined` when the value does not fit. */
function convertValue(direction: Direction, shape: Shape, place: Place, value: unknown): unknown {
  if (!fits(shape, value)) return undefined
  const { items, values, oneOf } = shape
  if (oneOf) return convertKnown(direction, oneOf(), place, value)
  if (items) {
    const list = (value as unknown[]).map((item) => convertValue(direction, items, place, item))
    return list.includes(undefined) ? undefined : list
  }
  if (values) {
    const entries = Object.entries(value as object).map(([key, item]) => {
      return [key, convertValue(direction, values, place, item)] as const
    })
    return entries.some(([, item]) => item === undefined) ? undefined : Object.fromEntries(entries)
  }
  return value
}

function convertKnown(direction: Direction, known: readonly Known[], { field }: Place, value: unknown): unknown {
  if (!isObject(value)) return undefined
  const meant = known.length === 1 ? known[0] : known.find((one) => isTagged(direction, fieldsOf(one), value))
  if (typeof meant === 'function') return direction.model(meant, value)
  return meant && convert(direction, `"${field}"`, meant.fields, value)
}

const fieldsOf = (known: Known): Fields => (typeof known === 'function' ? known[FIELDS] : known.fields)

/** Members that can be one word only. */
const tagsOf = (fields: Fields) => Object.entries(fields).filter(([, shape]) => shape.enum?.length === 1)

function isTagged(direction: Direction, fields: Fields, value: Readonly<Record<string, unknown>>): boolean {
  return tagsOf(fields).every(([name, shape]) => shape.enum![0] === value[direction.source(name)])
}

function fits({ type, enum: words, pattern, min, max }: Shape, value: unknown): boolean {
  if (words) return words.includes(value as string)
  if (type === undefined) return true
  if (!TYPES[type].holds(value)) return false
  if (min !== undefined && sizeOf(value) < min) return false
  if (max !== undefined && sizeOf(value) > max) return false
  return pattern === undefined || pattern.test(value as string)
}

function sizeOf(value: unknown): number {
  if (typeof value === 'number') return value
  // As JSON Schema counts them: characters, not halves of them.
  return typeof value === 'string' ? [...value].length : Object.keys(value as object).length
}

function expected({ type, enum: words, min, max, oneOf }: Shape): string {
  if (words) return alternatives(words)
  if (oneOf) {
    const tags = oneOf().flatMap((known) => tagsOf(fieldsOf(known)))
    return tags.length < 2
      ? 'an object'
      : `an object whose "${tags[0]![0]}" is ${alternatives(tags.map(([, { enum: tag }]) => tag![0]!))}`
  }
  if (type === undefined) return 'JSON'
  const { noun, unit } = TYPES[type]
  if (max === undefined) return min === undefined ? noun : `${noun} of at least ${min}${unit}`
  if (min === undefined) return `${noun} of at most ${max}${unit}`
  return unit === '' ? `${noun} from ${min} to ${max}` : `${noun} of ${min} to ${max}${unit}`
}

const alternatives = (words: readonly string[]): string => words.map((word) => `"${word}"`).join(' or ')
