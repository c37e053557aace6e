/** The keywords of JSON Schema 2020-12 that TypeBox writes and this folder reads. */
export type JsonSchema = {
  type?: string
  title?: string
  description?: string
  enum?: readonly unknown[]
  const?: unknown
  anyOf?: readonly JsonSchema[]
  allOf?: readonly JsonSchema[]
  properties?: Readonly<Record<string, JsonSchema>>
  required?: readonly string[]
  patternProperties?: Readonly<Record<string, JsonSchema>>
  additionalProperties?: boolean | JsonSchema
  unevaluatedProperties?: boolean
  items?: JsonSchema
  minLength?: number
  maxLength?: number
  pattern?: string
  format?: string
  minimum?: number
  maximum?: number
  minItems?: number
  maxItems?: number
  /** A secret that is shown when it is made and never again. */
  'x-shown-once'?: boolean
}

/** A copy with other members; what TypeBox keeps in non-enumerable members (kind, refinements) stays. */
function withMembers(schema: JsonSchema, members: Partial<JsonSchema>): JsonSchema {
  const copy = Object.defineProperties({}, Object.getOwnPropertyDescriptors(schema)) as JsonSchema
  return Object.assign(copy, members)
}

/** Rebuilds a schema from below: `change` sees each part after its own parts were changed. */
export function mapSchema(schema: JsonSchema, change: (part: JsonSchema) => JsonSchema): JsonSchema {
  const all = (parts: readonly JsonSchema[]) => parts.map((part) => mapSchema(part, change))
  const named = (parts: Readonly<Record<string, JsonSchema>>) =>
    Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, mapSchema(part, change)]))
  const members: Partial<JsonSchema> = {}
  if (schema.anyOf) members.anyOf = all(schema.anyOf)
  if (schema.allOf) members.allOf = all(schema.allOf)
  if (schema.properties) members.properties = named(schema.properties)
  if (schema.patternProperties) members.patternProperties = named(schema.patternProperties)
  if (typeof schema.additionalProperties === 'object') {
    members.additionalProperties = mapSchema(schema.additionalProperties, change)
  }
  if (schema.items) members.items = mapSchema(schema.items, change)
  return change(withMembers(schema, members))
}

/**
 * The same schema with every object closed: a member that is not declared is refused, unless the object says otherwise itself.
 * The parts of an intersection are closed together, since each of them knows only its own members.
 */
export function closedSchema(schema: JsonSchema): JsonSchema {
  if (schema.allOf) return withMembers(schema, { unevaluatedProperties: false })
  const all = (parts: readonly JsonSchema[]) => parts.map(closedSchema)
  const members: Partial<JsonSchema> = {}
  if (schema.anyOf) members.anyOf = all(schema.anyOf)
  if (schema.items) members.items = closedSchema(schema.items)
  if (schema.properties) {
    members.properties = Object.fromEntries(
      Object.entries(schema.properties).map(([name, part]) => [name, closedSchema(part)]),
    )
    if (schema.additionalProperties === undefined && schema.patternProperties === undefined) {
      members.additionalProperties = false
    }
  }
  return withMembers(schema, members)
}
