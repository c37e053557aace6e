import type { JsonSchema } from '../kernel/json-schema.ts'

/** Keys and tokens in the forms that the server mints. */
const KEY_FORM = /^alter_(rk|ak|dk|pk|pat)_[a-z2-7]{22}_[a-z2-7]{6}$/

/** A success value as it may be kept and shown again: what is shown once is null. The input is not changed. */
export function withoutShownOnce(schema: JsonSchema, value: unknown): unknown {
  if (schema['x-shown-once'] === true || (typeof value === 'string' && KEY_FORM.test(value))) return null
  if (schema.anyOf?.some((part) => part['x-shown-once'] === true)) return null
  if (Array.isArray(value)) return value.map((element) => withoutShownOnce(schema.items ?? {}, element))
  if (typeof value !== 'object' || value === null) return value
  const properties = [schema, ...(schema.allOf ?? []), ...(schema.anyOf ?? [])].map((part) => part.properties ?? {})
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => {
      const declared = properties.find((known) => Object.hasOwn(known, name))
      return [name, withoutShownOnce(declared?.[name] ?? {}, member)]
    }),
  )
}
