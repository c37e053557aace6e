import type { JsonSchema } from '../kernel/json-schema.ts'
import type { FieldError } from '../kernel/vault-error.ts'

const INTEGER = /^-?(0|[1-9]\d{0,15})$/
const DECIMAL = /^-?(0|[1-9]\d*)(\.\d+)?$/

/**
 * Query text as the values its schema asks for; what cannot be one stays text, so that the check afterwards says what is wrong.
 * A name that comes twice is a fault unless its schema is a list.
 */
export function queryValues(
  schema: JsonSchema,
  query: URLSearchParams,
): { values: Record<string, unknown>; errors: FieldError[] } {
  const values: Record<string, unknown> = {}
  const errors: FieldError[] = []
  for (const name of new Set(query.keys())) {
    const texts = query.getAll(name)
    const property = schema.properties?.[name]
    if (property?.type === 'array') {
      values[name] = texts.map((text) => parsedText(property.items ?? {}, text))
    } else if (texts.length > 1) {
      const shown = JSON.stringify(name.slice(0, 80))
      errors.push({
        pointer: `query:${name.slice(0, 80)}`,
        code: 'repeated',
        message: `${shown} must come once; got ${texts.length}`,
      })
    } else {
      values[name] = property === undefined ? texts[0] : parsedText(property, texts[0]!)
    }
  }
  return { values, errors }
}

function parsedText(schema: JsonSchema, text: string): unknown {
  for (const part of schema.anyOf ?? []) {
    const value = parsedText(part, text)
    if (value !== text) return value
  }
  const type = schema.type ?? typeof schema.const
  if (type === 'integer' && INTEGER.test(text)) return Number(text)
  if (type === 'number' && DECIMAL.test(text)) return Number(text)
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true'
  return text
}
