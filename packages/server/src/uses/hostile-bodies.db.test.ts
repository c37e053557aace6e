import { afterAll, beforeAll, expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { type RecordingProvider, startRecordingProvider } from '../testing/recording-provider.ts'
import { createTestServer, type TestServer } from '../testing/test-server.ts'

/*
 * Work goes by what is in a body, not by its bytes. Whatever 10 MiB hold, other callers do not wait, and the answer is short.
 */

const MAX_DELAY_MS = 200
const MAX_ANSWER = 64 * 1024
const TEN_MIB = 10_000_000

let server: TestServer
let provider: RecordingProvider
let apiKey: string
let grantId: string
let url: string

beforeAll(async () => {
  server = await createTestServer()
  provider = await startRecordingProvider()
  const host = `127.0.0.1:${provider.port}`
  url = `http://${host}/v1/things`
  const app = await server.operator('POST', '/api/v1/apps', {
    name: `Hostile ${newId()}`,
    settings: { allowed_private_hosts: [host] },
  })
  const path = `/api/v1/apps/${app.body.id}`
  const secret = await server.operator('POST', `${path}/managed-secrets`, {
    name: 'shop',
    credential_type: 'bearer',
    value: { token: 'tok_12345678' },
    allowed_hosts: [host],
  })
  grantId = secret.body.base_grant_id
  const key = await server.operator('POST', `${path}/keys`, { name: 'k', scopes: ['proxy:execute', 'tokens:retrieve'] })
  apiKey = key.body.api_key
})
afterAll(async () => {
  await provider[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

/** The most CPU that one turn of the loop took, in milliseconds. CPU, since a busy machine makes any turn long. */
function watchTurns(): () => number {
  let longest = 0
  let before = process.threadCpuUsage()
  const turn = () => {
    const { user, system } = process.threadCpuUsage(before)
    before = process.threadCpuUsage()
    longest = Math.max(longest, (user + system) / 1_000)
    next = setImmediate(turn)
  }
  let next = setImmediate(turn)
  return () => {
    clearImmediate(next)
    return longest
  }
}

const fill = (part: string, bytes = TEN_MIB) => part.repeat(Math.floor(bytes / part.length))
const list = (part: string, count: number) => `[${fill(`${part},`, (part.length + 1) * count)}${part}]`
const many = (member: (i: number) => string, count: number) => Array.from({ length: count }, (_, i) => member(i)).join()
const json = (members: string) => `{"method":"POST","grant_id":"${grantId}","url":"${url}",${members}}`
const form = (body: string) => json(`"headers":{"content-type":"application/x-www-form-urlencoded"},"body":${body}`)

/** 200: sent. Anything else: refused with a word about it. */
const shapes: [name: string, status: number, text: () => string][] = [
  ['numbers with a fraction, past the limit', 422, () => json(`"body":${list('1.0', 2_500_000)}`)],
  ['numbers with a fraction, just below it', 200, () => json(`"body":${list('1.0', 199_000)}`)],
  ['long numbers', 200, () => json(`"body":${list(`1.${'3'.repeat(60)}`, 150_000)}`)],
  ['empty lists, past the limit', 422, () => json(`"body":${list('[]', 3_000_000)}`)],
  ['empty lists, just below it', 200, () => json(`"body":${list('[]', 99_000)}`)],
  ['objects', 200, () => json(`"body":${list('{"a":1}', 95_000)}`)],
  ['names', 200, () => json(`"body":{${many((i) => `"name${i}":1.5`, 95_000)}}`)],
  ['escaped quotes', 200, () => json(`"body":"${fill('\\"')}"`)],
  ['escaped characters', 200, () => json(`"body":"${fill('\\u00e9')}"`)],
  ['base64', 200, () => json(`"body":"${fill('AAe5')}"`)],
  ['spaces', 200, () => json(`"body":[${fill(' ')}1.0]`)],
  ['one number', 200, () => json(`"body":1.${fill('3')}`)],
  ['quotes that are no JSON', 422, () => json(`"body":${fill('"')}`)],
  ['brackets that are no JSON', 422, () => fill('[')],
  ['query parameters that are objects', 422, () => json(`"query_params":{${many((i) => `"${i}":{}`, 95_000)}}`)],
  ['query parameters', 422, () => json(`"query_params":{${many((i) => `"${i}":1`, 95_000)}}`)],
  ['one long query parameter', 422, () => json(`"query_params":{"a":"${fill("'")}"}`)],
  ['bad header names', 422, () => json(`"headers":{${many((i) => `"bad name ${i}":"x"`, 95_000)}}`)],
  ['headers that are no texts', 422, () => json(`"headers":{${many((i) => `"h${i}":1`, 95_000)}}`)],
  ['one long forbidden header', 422, () => json(`"headers":{"x-alter-${fill('a')}":"x"}`)],
  ['unknown members', 422, () => json(many((i) => `"m${i}":1`, 95_000))],
  ['one long unknown member', 422, () => json(`"${fill('m')}":1`)],
  ['a long method', 422, () => json('"reason":""').replace('"POST"', `"${fill('é', 5_000_000)}"`)],
  ['a long URL', 422, () => json('"reason":""').replace('/v1/', `/${fill('é', 5_000_000)}`)],
  ['a URL escaped many times', 422, () => json('"reason":""').replace('/v1/', `/%${fill('25', 60_000)}2e/`)],
  ['a long reason', 200, () => json(`"reason":"${fill('x')}"`)],
  ['a form of many fields', 422, () => form(`{${many((i) => `"${i}":1.5`, 95_000)}}`)],
  ['a form of one long field', 422, () => form(`{"a":"${fill("'")}"}`)],
  ['a form of 4 MiB', 200, () => form(`{"a":"${fill("'", 4_000_000)}"}`)],
  ['NUL characters', 422, () => json(`"body":${list('"\\u0000"', 190_000)}`)],
]

test.each(shapes)('%s: %i, without holding up anybody', async (_name, status, text) => {
  const body = text()
  const headers = { ...server.signed(apiKey, { path: '/sdk/proxy', body }), 'content-type': 'application/json' }
  const bytes = Buffer.from(body)
  const longest = watchTurns()
  const response = await fetch(`${server.origin}/sdk/proxy`, { method: 'POST', headers, body: bytes })
  const answer = await response.text()
  expect([400, 403, 422].includes(response.status) ? 422 : response.status, answer.slice(0, 300)).toBe(status)
  expect(answer.length).toBeLessThan(MAX_ANSWER)
  const held = longest()
  expect(held).toBeLessThan(MAX_DELAY_MS)
})
