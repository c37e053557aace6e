import fc, { type Arbitrary } from 'fast-check'

/** The keywords that schemas of the SDK API have. */
export type WireSchema = {
  title?: string
  type?: string
  const?: unknown
  enum?: unknown[]
  anyOf?: WireSchema[]
  allOf?: WireSchema[]
  properties?: Record<string, WireSchema>
  required?: string[]
  patternProperties?: Record<string, WireSchema>
  items?: WireSchema
  pattern?: string
  minLength?: number
  maxLength?: number
  minimum?: number
  maximum?: number
  minItems?: number
  maxItems?: number
  default?: unknown
}

/** Values that a schema allows. */
export function wireValue(schema: WireSchema): Arbitrary<unknown> {
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map(wireValue))
  if ('const' in schema) return fc.constant(schema.const)
  if (schema.enum) return fc.constantFrom(...schema.enum)
  switch (schema.type) {
    case 'null':
      return fc.constant(null)
    case 'boolean':
      return fc.boolean()
    case 'integer':
      return fc.integer({ min: schema.minimum ?? -1_000, max: schema.maximum ?? 1_000 })
    case 'number':
      return fc.double({ min: schema.minimum ?? -1_000, max: 1_000, noNaN: true }).map((value) => value + 0)
    case 'string':
      return wireText(schema)
    case 'array':
      return fc.array(wireValue(schema.items!), { minLength: schema.minItems ?? 0, maxLength: 3 })
    case 'object':
      return wireObject(schema)
    default:
      return fc.jsonValue()
  }
}

function wireText({ pattern, minLength = 0, maxLength = 40 }: WireSchema): Arbitrary<string> {
  if (pattern === undefined) return fc.string({ minLength, maxLength: Math.min(maxLength, 40) })
  return fc.stringMatching(new RegExp(pattern)).filter((text) => text.length <= maxLength)
}

function wireObject({ properties, required = [], patternProperties }: WireSchema): Arbitrary<object> {
  if (properties === undefined) {
    const [values = {}] = Object.values(patternProperties ?? {})
    return fc.dictionary(fc.string(), wireValue(values), { maxKeys: 3 })
  }
  const members = Object.fromEntries(Object.entries(properties).map(([name, part]) => [name, wireValue(part)]))
  return fc.record(members, { requiredKeys: required })
}
