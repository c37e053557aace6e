/*
 * TypeScript for a schema of the contract: its type, and the table by which the SDK reads and writes it (packages/sdk/src/shape.ts).
 *
 * A schema with a title is a name of the SDK: an object of an answer is a class, everything else a type. An object without a title is the
 * user's own and passes as it is.
 */
import { Timestamp, Uuid } from '@alter-vault/contracts'
import * as modelBases from '../packages/sdk/src/model-bases.ts'
import { camelCase } from '../packages/sdk/src/shape.ts'
import type { JsonSchema } from '../packages/server/src/kernel/json-schema.ts'

export type Schema = JsonSchema & {
  default?: unknown
  maxProperties?: number
  'x-never-absent'?: boolean
  'x-null-when-unknown'?: boolean
  'x-from'?: string
}

/** Where a schema stands: a property of a model, its JSON, or what a caller gives. */
type Place = 'property' | 'json' | 'input'

const BOUNDS = {
  minimum: 'min',
  minLength: 'min',
  minItems: 'min',
  maximum: 'max',
  maxLength: 'max',
  maxItems: 'max',
  maxProperties: 'max',
} as const
const READ = 'type enum const anyOf items properties required patternProperties pattern default'
const MARKS = 'x-never-absent x-null-when-unknown x-from'
/** What readers do without: words for people, and what the vault alone judges. */
const LEFT_OUT = 'title description format additionalProperties x-shown-once'
const KEYWORDS = new Set([...Object.keys(BOUNDS), ...`${READ} ${MARKS} ${LEFT_OUT}`.split(' ')])
const PATTERN_NAMES = new Map([
  [(Uuid as Schema).pattern, 'UUID'],
  [(Timestamp as Schema).pattern, 'TIMESTAMP'],
])
export const PATTERNS = [...PATTERN_NAMES].map(([pattern, name]) => `const ${name} = ${new RegExp(pattern!)}`)

export const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
const literal = (value: unknown): string => JSON.stringify(value).replaceAll('"', "'")
const braces = (members: readonly string[]): string => (members.length === 0 ? '{}' : `{ ${members.join(', ')} }`)
export const block = (lines: readonly string[]): string =>
  lines.length === 0 ? '{}' : `{\n  ${lines.join('\n').replaceAll('\n', '\n  ')}\n}`
const orNull = (type: string): string => (/^unknown$|\bnull$/.test(type) ? type : `${type} | null`)

/** A comment. Members that it names in code are named as the SDK names them. */
export function comment(text: string | undefined, members: readonly string[] = []): string[] {
  const named = text?.replace(/`(\w+)`/g, (code, name) => (members.includes(name) ? `\`${camelCase(name)}\`` : code))
  return named === undefined ? [] : [`/** ${named} */`]
}

export const membersOf = ({ properties = {}, required = [] }: Schema) =>
  Object.entries(properties).map(([name, schema]) => ({
    name,
    schema: schema as Schema,
    required: required.includes(name),
  }))
type Member = ReturnType<typeof membersOf>[number]

/** A schema without its null, and whether it had one. */
function parted(schema: Schema): { core: Schema; nullable: boolean } {
  const { anyOf, ...outer } = schema
  const rest = anyOf?.filter(({ type }) => type !== 'null') ?? []
  if (anyOf === undefined) return { core: schema, nullable: schema.type === 'null' }
  return {
    core: rest.length === 1 ? { ...rest[0], ...outer } : { ...outer, anyOf: rest },
    nullable: rest.length < anyOf.length,
  }
}

const valuesOf = ({ patternProperties }: Schema): Schema | undefined =>
  patternProperties && Object.values(patternProperties)[0]
const isNamedObject = ({ properties, title }: Schema): boolean => properties !== undefined && title !== undefined
const wordsOf = ({ enum: words, const: word }: Schema): string[] | undefined => {
  if (words) return words.map(String)
  return typeof word === 'string' ? [word] : undefined
}

/** What absence means in an answer; undefined when the member must be there. */
function absenceOf({ schema, required }: Member): unknown {
  if (schema.default !== undefined) return schema.default
  return !required || (parted(schema).nullable && schema['x-never-absent'] !== true) ? null : undefined
}

/** Writes schemas, and remembers what their titles name. */
export function createSchemaWriter() {
  const named = new Map<string, { schema: Schema; place: 'property' | 'input' }>()
  const isClass = ({ properties }: Schema, place: Place): boolean => properties !== undefined && place !== 'input'

  function nameOf(schema: Schema, place: Place): string {
    const title = schema.title!
    const known = named.get(title) ?? { schema, place: place === 'input' ? place : 'property' }
    named.set(title, known)
    if (formOf(known.schema) !== formOf(schema)) throw new Error(`Two schemas have the title "${title}"`)
    if (isClass(schema, place) !== isClass(schema, known.place))
      throw new Error(`"${title}" is both given and answered`)
    return isClass(schema, place) && place === 'json' ? `${title}Json` : title
  }

  function typeOf(schema: Schema, place: Place): string {
    const { core, nullable } = parted(schema)
    const isPlain = core.title === undefined || (core.anyOf !== undefined && place === 'json')
    const type = isPlain ? untitledType(core, place) : nameOf(core, place)
    return nullable ? `${type} | null` : type
  }

  function untitledType(core: Schema, place: Place): string {
    const words = wordsOf(core)
    if (words) return words.map(quote).join(' | ')
    if (core.anyOf) return core.anyOf.map((part) => typeOf(part, place)).join(' | ')
    if (core.items) return `readonly ${typeOf(core.items, place).replace(/^.*[ |].*$/, '($&)')}[]`
    const values = valuesOf(core)
    if (values) return `Readonly<Record<string, ${typeOf(values, place)}>>`
    if (core.type === 'object') return 'Readonly<Record<string, unknown>>'
    return core.type === 'integer' ? 'number' : (core.type ?? 'unknown')
  }

  /** @throws for a keyword that readers would not respect */
  function shapeOf(member: Member, place: Place): string {
    const { schema, required } = member
    const { core, nullable } = parted(schema)
    const strange = Object.keys(core).find((keyword) => !KEYWORDS.has(keyword))
    if (strange !== undefined) throw new Error(`No client reads "${strange}" of "${member.name}"`)
    const mayLack = place === 'input' && !required
    const absence = place === 'input' ? schema.default : absenceOf(member)
    return braces([
      ...coreShape(core, place),
      ...(nullable || absence === null ? ['nullable: true'] : []),
      ...(schema['x-null-when-unknown'] ? ['nullWhenUnknown: true'] : []),
      ...(mayLack ? ['optional: true'] : []),
      ...(absence === undefined ? [] : [`default: ${literal(absence)}`]),
    ])
  }

  function coreShape(core: Schema, place: Place): string[] {
    const words = wordsOf(core)
    if (words) return [`enum: [${words.map(quote).join(', ')}]`]
    const bounds = Object.entries(BOUNDS).flatMap(([keyword, bound]) => {
      const limit = core[keyword as keyof typeof BOUNDS]
      return limit === undefined ? [] : [`${bound}: ${limit}`]
    })
    const type = core.type === undefined ? [] : [`type: ${quote(core.type)}`]
    const choices = isNamedObject(core) ? [core] : core.anyOf
    if (choices) {
      if (!choices.every(isNamedObject)) throw new Error('Clients tell objects with a title apart, and nothing else')
      const known = choices.map((one) =>
        place === 'input' ? `{ fields: ${fieldsOf(one, place)} }` : nameOf(one, place),
      )
      return [...(bounds.length === 0 ? [] : type), ...bounds, `oneOf: () => [${known.join(', ')}]`]
    }
    // The form of what a caller gives, such as an id, is for the vault to judge.
    const pattern = place === 'input' ? undefined : core.pattern
    const part = (name: string, schema: Schema | undefined) =>
      schema === undefined || Object.keys(schema).length === 0
        ? []
        : [`${name}: ${shapeOf({ name, schema, required: true }, place)}`]
    return [
      ...type,
      ...bounds,
      ...(pattern === undefined ? [] : [`pattern: ${PATTERN_NAMES.get(pattern) ?? new RegExp(pattern)}`]),
      ...part('items', core.items),
      ...part('values', valuesOf(core)),
    ]
  }

  const fieldsOf = (schema: Schema, place: Place): string =>
    block(membersOf(schema).map((member) => `${member.name}: ${shapeOf(member, place)},`))

  /** The members of a schema as a type. */
  function membersType(schemas: readonly Schema[], place: 'property' | 'input'): string {
    const members = schemas.flatMap(membersOf)
    const names = members.map(({ name }) => name)
    return block(
      members.flatMap(({ name, schema, required }) => [
        ...comment(schema.description, names),
        `${place === 'property' ? 'readonly ' : ''}${camelCase(name)}${required ? '' : '?'}: ${typeOf(schema, place)}`,
      ]),
    )
  }

  function classOf(title: string, schema: Schema): string {
    const members = membersOf(schema)
    const names = members.map(({ name }) => name)
    const base = `${title}Base` in modelBases ? `${title}Base` : 'Model'
    const typed = (member: Member, place: 'property' | 'json') => {
      const type = typeOf(member.schema, place)
      return absenceOf(member) === null ? orNull(type) : type
    }
    const body = [
      `static override readonly [FIELDS]: Fields = ${fieldsOf(schema, 'property')}`,
      ...members.flatMap((member) => [
        ...comment(member.schema.description, names),
        `declare readonly ${camelCase(member.name)}: ${typed(member, 'property')}`,
      ]),
    ]
    const json = members.map(
      (member) => `${member.name}${absenceOf(member) === undefined ? '' : '?'}: ${typed(member, 'json')}`,
    )
    return [
      ...comment(schema.description, names),
      `export class ${title} extends ${base}<${title}Json> ${block(body)}`,
      `export type ${title}Json = ${block(json)}`,
    ].join('\n')
  }

  function aliasOf(title: string, schema: Schema, place: 'property' | 'input'): string {
    const { title: _title, ...untitled } = schema
    const members = [schema, ...(schema.anyOf ?? [])].flatMap(membersOf).map(({ name }) => name)
    const type = schema.properties === undefined ? untitledType(untitled, place) : membersType([schema], place)
    return [...comment(schema.description, members), `export type ${title} = ${type}`].join('\n')
  }

  /** Classes and types of every title that was met, and of those that these meet in turn. */
  function declarations(): string[] {
    const written: string[] = []
    for (const [title, { schema, place }] of named) {
      written.push(isClass(schema, place) ? classOf(title, schema) : aliasOf(title, schema, place))
    }
    return written
  }

  const names = () => [...named].map(([title, { schema, place }]) => ({ title, isClass: isClass(schema, place) }))
  return { fieldsOf, membersType, nameOf, declarations, names }
}

export type SchemaWriter = ReturnType<typeof createSchemaWriter>

/** A schema without its words and without what absence means. */
function formOf({ description: _description, default: _default, ...schema }: Schema): string {
  return JSON.stringify(schema)
}
