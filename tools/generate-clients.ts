/*
 * Writes what clients know of the contract: models, calls and errors of the TypeScript SDK, endpoints of the web apps.
 *
 *   node tools/generate-clients.ts            write the files
 *   node tools/generate-clients.ts --check    end with 1 when a file is not what would be written
 */
import type { ClientError, Endpoint } from '@alter-vault/contracts'
import * as contracts from '@alter-vault/contracts'
import { camelCase } from '../packages/sdk/src/shape.ts'
import { declaredEndpoints } from '../packages/server/src/http/declared-endpoints.ts'
import {
  block,
  comment,
  createSchemaWriter,
  PATTERNS,
  quote,
  type Schema,
  type SchemaWriter,
} from './client-schemas.ts'
import { settleFiles } from './settle-files.ts'

const HEAD = '// Written by tools/generate-clients.ts from packages/contracts. Do not edit.'
const page = (...parts: readonly string[]): string => `${[HEAD, ...parts].join('\n\n')}\n`
const pascalCase = (name: string): string => camelCase(`_${name}`)

/** The import of those names that a text has. */
const imported = (names: Iterable<string>, from: string, text: string): string => {
  const used = [...names].filter((name) => new RegExp(`\\b${name.replace('type ', '')}\\b`).test(text))
  return `import { ${used.sort().join(', ')} } from ${quote(from)}`
}

/** The models of the SDK, and the calls that take and answer them. */
export function renderSdk(endpoints: readonly Endpoint[]): { models: string; calls: string } {
  const writer = createSchemaWriter()
  const calls = endpoints.map((endpoint) => callOf(endpoint, writer)).join('\n\n')
  const models = writer.declarations().join('\n\n')
  const names = writer.names().map(({ title, isClass }) => (isClass ? title : `type ${title}`))
  return {
    models: page(
      [
        imported(
          writer.names().map(({ title }) => `${title}Base`),
          '../model-bases.ts',
          models,
        ),
        imported(['FIELDS', 'type Fields', 'Model'], '../shape.ts', models),
      ].join('\n'),
      PATTERNS.join('\n'),
      models,
    ),
    calls: page(
      [
        imported(['type Call'], '../call.ts', calls),
        imported(['FIELDS'], '../shape.ts', calls),
        imported(names, './models.ts', calls),
      ].join('\n'),
      calls,
    ),
  }
}

function callOf(endpoint: Endpoint, writer: SchemaWriter): string {
  const { params, query, body } = endpoint as { params?: Schema; query?: Schema; body?: Schema }
  const parts = [params, query, body].filter((part) => part !== undefined)
  const name = camelCase(endpoint.id.replace(/^sdk_/, ''))
  // A body with a title is a model, which then is all that the call takes.
  const model = body?.title !== undefined && writer.nameOf(body, 'property')
  const given = model || (parts.length === 0 ? 'object' : `${pascalCase(name)}Input`)
  const answers = [
    ...modelsIn(endpoint.success).map((answer) => [endpoint.status ?? 200, answer] as const),
    ...modelsIn(endpoint.accepted).map((answer) => [202, answer] as const),
  ].map(([status, answer]) => ({ status, answer: writer.nameOf(answer, 'property') }))
  const call = block([
    `method: ${quote(endpoint.method)},`,
    `path: ${quote(endpoint.path)},`,
    ...(query === undefined ? [] : [`query: ${writer.fieldsOf(query, 'input')},`]),
    ...(body === undefined ? [] : [`body: ${model ? `${model}[FIELDS]` : writer.fieldsOf(body, 'input')},`]),
    `answers: ${block(answers.map(({ status, answer }) => `${status}: ${answer},`))},`,
  ])
  const output = answers.map(({ answer }) => answer).join(' | ') || 'object'
  return [
    ...(given.endsWith('Input') ? [`export type ${given} = ${writer.membersType(parts, 'input')}`] : []),
    ...comment(`${endpoint.summary}.`),
    `export const ${name}: Call<${given}, ${output}> = ${call}`,
  ].join('\n')
}

/** The objects with a title that an answer may be. */
function modelsIn(schema: Schema = {}): Schema[] {
  if (schema.title !== undefined) return [schema]
  return [...(schema.anyOf ?? []), ...(schema.allOf ?? [])].flatMap((part) => modelsIn(part))
}

/** The classes of errors with their properties, and which refusal becomes which. */
export function renderErrors(classes: Readonly<Record<string, ClientError>>): { classes: string; tables: string } {
  const writer = createSchemaWriter()
  const written = Object.entries(classes).map(([name, { parent, sentence, fields = {} }]) => {
    const members = Object.keys(fields)
    const getters = Object.entries(fields).flatMap(([member, schema]) => [
      ...comment((schema as Schema).description, members),
      ...getterOf(member, schema as Schema, writer),
    ])
    return [...comment(sentence, members), `export class ${name} extends ${parent} ${block(getters)}`].join('\n')
  })
  const source = [...writer.declarations(), ...written].join('\n\n')
  const byHand = ['AlterSDKError', 'AlterValueError', 'type ErrorDetails', 'ProviderAPIError']
  const table = (title: string, of: (described: ClientError) => readonly string[]) => {
    const rows = Object.entries(classes).flatMap(([name, described]) =>
      of(described).map((key) => `${quote(key)}: errors.${name},`),
    )
    return `export const ${title}: ErrorTable = ${block(rows)}`
  }
  return {
    classes: page(
      [
        imported(
          ['AlterSDKError', 'flag', 'integer', 'ProviderAPIError', 'text', 'texts', 'within'],
          '../base-errors.ts',
          source,
        ),
        imported(['readEach'], '../shape.ts', source),
      ].join('\n'),
      `export { ${byHand.join(', ')} } from '../base-errors.ts'`,
      source,
    ),
    tables: page(
      "import * as errors from './errors.ts'",
      'type ErrorClass = new (message: string, details: errors.ErrorDetails) => errors.AlterSDKError\nexport type ErrorTable = Readonly<Record<string, ErrorClass>>',
      table('CALL_ERRORS', ({ calls = [] }) => calls),
      table('AGENT_ERRORS', ({ agents = [] }) => agents),
      table('PROXY_ERRORS', ({ proxied = [] }) => proxied),
    ),
  }
}

function getterOf(member: string, schema: Schema, writer: SchemaWriter): string[] {
  const [first, ...rest] = (schema['x-from'] ?? member).split('.')
  const value = rest.reduce((outer, name) => `within(${outer}, ${quote(name)})`, `this.details.${first}`)
  const getter = (type: string, read: string) => [`get ${camelCase(member)}(): ${type} ${block([`return ${read}`])}`]
  const items = schema.items as Schema | undefined
  if (items?.properties) {
    const item = items.title === undefined ? writer.membersType([items], 'property') : writer.nameOf(items, 'input')
    return getter(`readonly ${item}[]`, `readEach(${writer.fieldsOf(items, 'property')}, ${value})`)
  }
  if (items) return getter('readonly string[]', `texts(${value})`)
  if (schema.type === 'boolean') return getter('boolean', `flag(${value})`)
  return schema.type === 'integer'
    ? getter('number | null', `integer(${value})`)
    : getter('string | null', `text(${value})`)
}

/** What web apps know: method and path of each call, with its declaration as a type, and the constants of the contract. */
export function renderBrowser(endpoints: readonly Endpoint[], declared: Readonly<Record<string, unknown>>): string {
  const names = new Map(Object.entries(declared).map(([name, value]) => [value, name]))
  const calls = endpoints.map((endpoint) => {
    const { method, path, summary } = endpoint
    const name = names.get(endpoint)
    const call = block([`method: ${quote(method)},`, `path: ${quote(path)},`])
    return [
      ...comment(`${summary}.`),
      `export const ${name}: BrowserEndpoint<typeof contracts.${name}> = ${call}`,
    ].join('\n')
  })
  const constants = Object.entries(declared)
    .filter(([, value]) => typeof value === 'number' || typeof value === 'string')
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? quote(value) : value},`)
  return page(
    "import type * as contracts from '@alter-vault/contracts'\nimport type { BrowserEndpoint } from '../api-client.ts'",
    `export const constants = ${block(constants)} as const`,
    ...calls,
  )
}

/** Every generated file by its path from the root. */
export function renderClients(): ReadonlyMap<string, string> {
  const sdk = renderSdk(declaredEndpoints.filter(({ api }) => api === contracts.sdkApi))
  const errors = renderErrors(contracts.clientErrors)
  const browser = declaredEndpoints.filter(({ api }) => api === contracts.approvalPageApi)
  return new Map([
    ['packages/sdk/src/generated/models.ts', sdk.models],
    ['packages/sdk/src/generated/calls.ts', sdk.calls],
    ['packages/sdk/src/generated/errors.ts', errors.classes],
    ['packages/sdk/src/generated/error-tables.ts', errors.tables],
    ['packages/web-kit/src/generated/endpoints.ts', renderBrowser(browser, contracts)],
  ])
}

if (import.meta.main) process.exitCode = await settleFiles('generate-clients.ts', renderClients())
