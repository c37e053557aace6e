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
/** Lower-case hexadecimal SHA-256. */
export const Sha256Hex = Type.String({ pattern: '^[0-9a-f]{64}$' })
export const Email = Type.String({ minLength: 3, maxLength: 320, pattern: '^[^@\\s]+@[^@\\s]+$' })
/** The id of a provider, or the slug of a managed secret. */
export const ProviderId = Type.String({ minLength: 1, maxLength: 255 })
/** The token of a person, as the app's own sign-in gives it. */
export const UserToken = Type.String({ minLength: 1, maxLength: 8_192 })
/** A status as providers send them: three digits, whatever RFC 9110 says of them. */
export const ProviderStatus = Type.Integer({ minimum: 100, maximum: 999 })
/** A number that counts, with a bound that every store and client can hold. */
export const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
/** How long something lasts: at most 68 years, which the store can hold and whose end is a date. */
export const Seconds = Type.Integer({ minimum: 1, maximum: 2_147_483_647 })
export const JsonObject = Type.Record(Type.String(), Type.Unknown())
export const Nullable = <T extends Type.TSchema>(schema: T, options: Type.TSchemaOptions = {}) =>
  Type.Union([schema, Type.Null()], options)
/** Clients read a member that may be null as null when it is absent, too; not this one. */
export const NeverAbsent = <T extends Type.TSchema>(schema: T) => Nullable(schema, { 'x-never-absent': true })
/** Clients read any other value as null, so that a newer server can say more. */
export const NullWhenUnknown = <T extends Type.TSchema>(schema: T, options: Type.TSchemaOptions = {}) =>
  Nullable(schema, { 'x-null-when-unknown': true, ...options })
/** An object whose unknown members are a mistake: a member that narrows, or that a person decides on, must never be dropped silently. */
export const Exactly = <P extends Type.TProperties>(properties: P) =>
  Type.Object(properties, { additionalProperties: false })
/** A secret that an answer shows when it is made and never again: a replayed answer has null in its place. */
export const ShownOnce = <T extends Type.TSchema>(schema: T) =>
  Nullable(schema, { 'x-shown-once': true, 'x-never-absent': true })
