import Type from 'typebox'

/** A UUID in canonical lower-case hyphenated form, any version. */
export const Uuid = Type.String({ pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' })
/** RFC 3339 instant with a zone. */
export const Timestamp = Type.String({
  pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,9})?(Z|[+-]\\d{2}:\\d{2})$',
  maxLength: 40,
})
/** `format` of text that people read in lists and on approval pages: NFC, no control characters, no direction overrides. */
export const PLAIN_NAME_FORMAT = 'plain-name'
export const Name = Type.String({ format: PLAIN_NAME_FORMAT, minLength: 1, maxLength: 100 })
export const Label = Type.String({ format: PLAIN_NAME_FORMAT, minLength: 1, maxLength: 255 })
export const JsonObject = Type.Record(Type.String(), Type.Unknown())
export const Nullable = <T extends Type.TSchema>(schema: T, options: Type.TSchemaOptions = {}) =>
  Type.Union([schema, Type.Null()], options)
/** Clients read a member that may be null as null when it is absent, too; not this one. */
export const NeverAbsent = <T extends Type.TSchema>(schema: T) => Nullable(schema, { 'x-never-absent': true })
/** Clients read any other value as null, so that a newer server can say more. */
export const NullWhenUnknown = <T extends Type.TSchema>(schema: T, options: Type.TSchemaOptions = {}) =>
  Nullable(schema, { 'x-null-when-unknown': true, ...options })
/** A secret that an answer shows when it is made and never again: a replayed answer has null in its place. */
export const ShownOnce = <T extends Type.TSchema>(schema: T) =>
  Nullable(schema, { 'x-shown-once': true, 'x-never-absent': true })
