import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import {
  apiKey,
  audited,
  type Endpoint,
  managementApi,
  Name,
  noAudit,
  operator,
  ShownOnce,
  sdkApi,
  Uuid,
} from '@alter-vault/contracts'
import Type from 'typebox'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../kernel/clock.ts'
import { type Log, silentLog } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { Answer } from './answer.ts'
import { type BoundEndpoint, bind } from './bind-endpoint.ts'
import { sendJson } from './error-response.ts'
import { createListener, type Listener, type ListenerOptions } from './listener.ts'
import { PROXY_BODY_MAX_BYTES } from './request-body.ts'
import { parseStrictJson } from './strict-json.ts'

const id = '018f0000-0000-7000-8000-000000000000'

const createKey = managementApi.defineEndpoint({
  id: 'create_key',
  method: 'POST',
  path: '/api/v1/apps/:app_id/keys',
  summary: 'Mint a key',
  tag: 'keys',
  access: operator({ scope: 'keys:write' }),
  params: Type.Object({ app_id: Uuid }),
  body: Type.Object({ name: Name }),
  success: Type.Object({ name: Type.String(), api_key: ShownOnce(Type.String()) }),
  status: 201,
  errors: ['key_limit_reached'],
  audit: audited('key.minted'),
})
const showKey = managementApi.defineEndpoint({
  id: 'show_key',
  method: 'GET',
  path: '/api/v1/apps/:app_id/keys/:key_id',
  summary: 'Show a key',
  tag: 'keys',
  access: operator({ scope: 'keys:read' }),
  params: Type.Object({ app_id: Uuid, key_id: Uuid }),
  query: Type.Object({ expand: Type.Optional(Type.Boolean()) }),
  success: Type.Object({ version: Type.Integer() }),
  errors: ['key_not_found'],
  audit: noAudit('shows no secret'),
  versioned: true,
})
const renameKey = managementApi.defineEndpoint({
  ...showKey,
  id: 'rename_key',
  method: 'PATCH',
  query: Type.Object({}),
  body: Type.Object({ name: Name }),
  audit: audited('key.updated'),
})
const readMe = sdkApi.defineEndpoint({
  id: 'read_me',
  method: 'GET',
  path: '/sdk/me/:agent_id',
  summary: 'Read an agent',
  tag: 'agents',
  access: apiKey({ scopes: ['agents:read'] }),
  params: Type.Object({ agent_id: Uuid }),
  success: Type.Object({ agent_id: Type.String() }),
  errors: ['agent_not_found'],
  audit: noAudit('reads nothing secret'),
})
const proxy = sdkApi.defineEndpoint({
  id: 'proxy',
  method: 'POST',
  path: '/sdk/proxy',
  summary: 'Send a request',
  tag: 'proxy',
  access: apiKey({ scopes: ['proxy:execute'] }),
  namesDecision: true,
  success: Type.Unknown(),
  errors: ['grant_revoked'],
  audit: audited('proxy.executed'),
})
const endpoints: Endpoint[] = [createKey, showKey, renameKey, readMe, proxy]

/** `good` is let in, everything else is not. */
const authenticators: ListenerOptions['authenticators'] = {
  async api_key({ headers }) {
    if (headers['x-api-key'] !== 'good') throw new VaultError('invalid_key')
    return { principal: null }
  },
  async operator({ headers }) {
    if (headers.authorization !== 'Bearer good') throw new VaultError('authentication_required')
    return { principal: null, repeats: { scopeId: id, by: id } }
  },
}

const bodiesSeen: unknown[] = []
const handlers: BoundEndpoint[] = [
  bind(createKey, async ({ body }) => ({ name: body.name, api_key: 'alter_rk_aaaaaaaaaaaaaaaaaaaaaa_l77ykl' })),
  bind(showKey, async () => ({ version: 3 })),
  bind(renameKey, async ({ expectedVersion }) => {
    if (expectedVersion !== 3) throw new VaultError('version_conflict')
    return { version: 4 }
  }),
  bind(
    readMe,
    async ({ params }) => new Answer({ headers: { 'X-Alter-Actor-ID': id }, body: { agent_id: params.agent_id } }),
  ),
]
const hot: ListenerOptions['hotRoutes'] = new Map([
  [
    'POST /sdk/proxy',
    async (request, response, { requestId, requestBody }) => {
      if (request.headers['x-api-key'] === 'unknown') throw new VaultError('invalid_key')
      const body = parseStrictJson(await requestBody.read(PROXY_BODY_MAX_BYTES, 'caller'))
      bodiesSeen.push(body)
      if (JSON.stringify(body) === '{"refuse":true}') {
        throw new VaultError('grant_revoked', { fields: { grant_id: id, decision_id: 'd-1' } })
      }
      sendJson(response, 200, { seen: true }, requestId)
    },
  ],
])

let listener: Listener | undefined
let port = 0
const lines: { level: string; fields: Record<string, unknown>; message: string }[] = []
const keepLines: Log = {
  ...silentLog,
  error: (fields, message) => lines.push({ level: 'error', fields, message }),
  warn: (fields, message) => lines.push({ level: 'warn', fields, message }),
}
async function start(options: Partial<ListenerOptions> = {}): Promise<void> {
  listener = await createListener({
    declared: endpoints,
    bound: handlers,
    hotRoutes: hot,
    authenticators,
    log: keepLines,
    clock: systemClock,
    publicUrl: 'https://vault.example',
    trustedProxies: [],
    maxConnections: 1_000,
    bodyMemoryMib: 256,
    assertContracts: true,
    ...options,
  })
  port = (await listener.listen({ host: '127.0.0.1', port: 0 })).port
}
afterEach(async () => {
  await listener?.close(1_000)
  listener = undefined
  lines.length = 0
  bodiesSeen.length = 0
})

type Reply = { status: number; headers: IncomingHttpHeaders; text: string; json: Record<string, unknown> }
function send(
  method: string,
  path: string,
  options: { headers?: Record<string, string>; body?: string | Buffer; chunked?: boolean } = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: 'Bearer good',
      'x-api-key': 'good',
      ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(options.body === undefined || options.chunked === true
        ? {}
        : { 'content-length': String(Buffer.byteLength(options.body)) }),
      ...(options.chunked === true ? { 'transfer-encoding': 'chunked' } : {}),
      ...options.headers,
    }
    const request = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const json = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {}
        resolve({ status: response.statusCode!, headers: response.headers, text, json })
      })
    })
    request.on('error', reject)
    request.end(options.body)
  })
}
const key = `/api/v1/apps/${id}/keys/${id}`

describe('an answer', () => {
  it('carries its request id, is never cached, and comes with the status and headers of its endpoint', async () => {
    await start()
    const made = await send('POST', `/api/v1/apps/${id}/keys`, { body: '{"name":"ci"}' })
    expect(made.status).toBe(201)
    expect(made.headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
    const me = await send('GET', `/sdk/me/${id}`)
    expect([me.status, me.headers['x-alter-actor-id'], me.json]).toEqual([200, id, { agent_id: id }])
    expect((await send('HEAD', `/sdk/me/${id}`)).status).toBe(200)
  })

  it('shows the version of a versioned object as its ETag', async () => {
    await start()
    expect((await send('GET', key)).headers.etag).toBe('"3"')
  })
})

describe('a refusal', () => {
  it('is a problem on the management API', async () => {
    await start()
    const refused = await send('GET', key, { headers: { authorization: 'Bearer bad' } })
    expect(refused.status).toBe(401)
    expect(refused.headers).toMatchObject({
      'content-type': 'application/problem+json; charset=utf-8',
      'x-alter-refusal': 'authentication_required',
      'www-authenticate': 'Bearer realm="alter-vault"',
    })
    expect(refused.json).toMatchObject({
      type: 'https://vault.example/errors/authentication_required',
      status: 401,
      code: 'authentication_required',
      advice: 'contact_operator',
      request_id: refused.headers['x-request-id'],
    })
  })

  it('is the flat envelope on the SDK API', async () => {
    await start()
    const refused = await send('GET', `/sdk/me/${id}`, { headers: { 'x-api-key': 'bad' } })
    expect(refused.status).toBe(401)
    expect(refused.json).toMatchObject({ error: 'invalid_key', request_id: refused.headers['x-request-id'] })
    expect(refused.headers['x-alter-refusal']).toBe('invalid_key')
    expect(refused.headers['x-alter-decision-id']).toBeUndefined()
  })

  it('names its decision on a credential path', async () => {
    await start()
    const refused = await send('POST', '/sdk/proxy', { body: '{"refuse":true}' })
    expect(refused.status).toBe(403)
    expect(refused.headers).toMatchObject({ 'x-alter-refusal': 'grant_revoked', 'x-alter-decision-id': 'd-1' })
    expect(refused.json).toMatchObject({
      error: 'grant_revoked',
      grant_id: id,
      decision_id: 'd-1',
      reasons: [],
      advice: 'reauthorize',
    })
    const broken = await send('POST', '/sdk/proxy', { body: '{' })
    expect(broken.headers['x-alter-decision-id']).toBe(broken.headers['x-request-id'])
  })

  it('of a caller comes before any word about the body', async () => {
    await start()
    const refused = await send('POST', `/api/v1/apps/${id}/keys`, { headers: { authorization: 'x' }, body: 'not json' })
    expect(refused.json.code).toBe('authentication_required')
  })

  it('for an id that cannot exist is the one for an id that does not', async () => {
    await start()
    expect((await send('GET', `/api/v1/apps/${id}/keys/nope`)).json.code).toBe('key_not_found')
    expect((await send('GET', `/api/v1/apps/nope/keys/${id}`)).json.code).toBe('not_found')
    expect((await send('GET', '/sdk/me/%00')).json.error).toBe('agent_not_found')
  })

  it('says which methods a path takes', async () => {
    await start()
    for (const method of ['DELETE', 'PUT', 'OPTIONS', 'TRACE', 'QUERY', 'PROPFIND']) {
      const refused = await send(method, key, { body: 'x', headers: { 'content-type': 'text/plain' } })
      expect([method, refused.status, refused.headers.allow]).toEqual([method, 405, 'GET, HEAD, PATCH'])
    }
    const hotPath = await send('GET', '/sdk/proxy')
    expect([hotPath.status, hotPath.headers.allow, hotPath.json.error]).toEqual([405, 'POST', 'method_not_allowed'])
  })

  it('is not told of methods that only a path with another meaning takes', async () => {
    const statistics = { ...readMe, id: 'key_statistics', path: `${createKey.path}/statistics` } as const
    await start({
      declared: [...endpoints, statistics],
      bound: [...handlers, bind(statistics, async () => ({ agent_id: id }))],
    })
    const refused = await send('OPTIONS', `/api/v1/apps/${id}/keys/statistics`)
    expect([refused.status, refused.headers.allow]).toEqual([405, 'GET, HEAD'])
  })

  it.each(['/nowhere', '/sdk', '/sdk/me/', '/%', '/sdk/%ff', '//', '/SDK/proxy'])('is 404 for %s', async (path) => {
    await start()
    const refused = await send('POST', path, { body: 'x', headers: { 'content-type': 'a/b' } })
    expect([refused.status, refused.json.error]).toEqual([404, 'not_found'])
    expect(refused.headers['x-request-id']).toBe(refused.json.request_id)
  })
})

describe('a request', () => {
  it('must be JSON, named as such', async () => {
    await start()
    const path = `/api/v1/apps/${id}/keys`
    expect((await send('POST', path, { body: '{"name":"a","name":"b"}' })).json.code).toBe('invalid_json')
    expect((await send('POST', path, { body: '{}', headers: { 'content-type': 'text/json' } })).status).toBe(415)
    expect((await send('POST', path)).json).toMatchObject({ code: 'validation_failed', errors: [{ pointer: '/name' }] })
    expect((await send('GET', key, { body: '{"x":1}' })).json.code).toBe('unknown_field')
  })

  it('has a known query only', async () => {
    await start()
    expect((await send('GET', `${key}?expand=true`)).status).toBe(200)
    expect((await send('GET', `${key}?expnd=true`)).json.code).toBe('unknown_parameter')
    expect((await send('POST', '/sdk/proxy?x=1', { body: '{}' })).json.error).toBe('validation_failed')
    expect(bodiesSeen).toEqual([])
  })

  it('is refused past the size limit, declared or streamed, and its connection ends', async () => {
    await start()
    const large = await send('POST', `/api/v1/apps/${id}/keys`, { body: Buffer.alloc(1024 * 1024 + 1, 0x20) })
    expect([large.status, large.headers.connection]).toEqual([413, 'close'])
    const streamed = await send('POST', '/sdk/proxy', {
      body: Buffer.alloc(PROXY_BODY_MAX_BYTES + 1, 0x20),
      chunked: true,
    })
    expect([streamed.status, streamed.json.error]).toEqual([413, 'body_too_large'])
    expect(bodiesSeen).toEqual([])
  })

  it('writes a versioned object only with its version', async () => {
    await start()
    const rename = (ifMatch?: string) =>
      send('PATCH', key, { body: '{"name":"n"}', headers: ifMatch === undefined ? {} : { 'if-match': ifMatch } })
    expect((await rename()).status).toBe(428)
    for (const wrong of ['"2"', 'W/"3"', '3', '*', '"3", "4"']) expect((await rename(wrong)).status).toBe(412)
    const renamed = await rename('"3"')
    expect([renamed.status, renamed.headers.etag]).toEqual([200, '"4"'])
  })

  it('with too many or too long headers, or none that is HTTP, gets a bare status', async () => {
    await start()
    const raw = (text: string) =>
      new Promise<string>((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () => socket.write(text))
        let reply = ''
        socket.on('data', (chunk) => {
          reply += chunk.toString()
        })
        socket.on('close', () => resolve(reply))
        socket.on('error', reject)
      })
    const get = 'GET /sdk/proxy HTTP/1.1\r\nHost: x\r\n'
    expect(await raw(`${get}${'a: b\r\n'.repeat(101)}\r\n`)).toMatch(/^HTTP\/1\.1 431 /)
    expect(await raw(`${get}a: ${'b'.repeat(17_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /)
    expect(await raw('rubbish\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
    expect(await raw('GET /sdk/proxy HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
  })
})

describe('a caller who goes away', () => {
  it('in the middle of a body is no fault of the server', async () => {
    await start()
    for (const path of ['/sdk/proxy', `/api/v1/apps/${id}/keys`]) {
      const socket = connect(port, '127.0.0.1')
      socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n{"a":`)
      // `100 Continue` says that the server has begun to serve the request.
      await new Promise((resolve) => socket.once('data', resolve))
      socket.resetAndDestroy()
    }
    await listener!.close(5_000)
    expect([lines, bodiesSeen]).toEqual([[], []])
  })
})

describe('a fault', () => {
  it('is logged whole and says nothing outside', async () => {
    const failing = bind(readMe, async () => {
      throw new Error('relation "keys" does not exist at 10.0.0.5')
    })
    await start({ bound: [...handlers.slice(0, 3), failing] })
    const answered = await send('GET', `/sdk/me/${id}`)
    expect([answered.status, answered.json.error]).toEqual([500, 'internal_error'])
    expect(answered.text).not.toMatch(/relation|10\.0\.0\.5/)
    expect(lines).toMatchObject([
      {
        level: 'error',
        fields: { request_id: answered.json.request_id, err: { message: expect.stringContaining('10.0.0.5') } },
      },
    ])
  })

  it('is what a handler makes of an undeclared code, an undeclared form, and nothing, in test builds', async () => {
    const outcomes = [
      () => Promise.reject(new VaultError('has_dependants')),
      () => Promise.resolve({ agent: 'x' } as never),
      () => Promise.resolve(null as never),
    ]
    for (const outcome of outcomes) {
      await start({ bound: [...handlers.slice(0, 3), bind(readMe, outcome)] })
      expect((await send('GET', `/sdk/me/${id}`)).status).toBe(500)
      expect(String(lines.at(-1)?.fields.err)).toMatch(/read_me/)
      await listener!.close(1_000)
    }
    await start({ bound: [...handlers.slice(0, 3), bind(readMe, outcomes[0]!)], assertContracts: false })
    expect((await send('GET', `/sdk/me/${id}`)).json.error).toBe('has_dependants')
  })
})

describe('the set of routes', () => {
  it.each([
    [
      'an endpoint without a handler',
      { bound: handlers.slice(1) },
      /POST \/api\/v1\/apps\/:app_id\/keys \(create_key\) has no handler/,
    ],
    ['a hot endpoint without a handler', { hotRoutes: new Map() }, /POST \/sdk\/proxy \(proxy\) has no handler/],
    ['an access that nobody checks', { authenticators: {} }, /the access "operator" has no authenticator/],
    [
      'a handler without an endpoint',
      { declared: endpoints.slice(1) },
      /POST \/api\/v1\/apps\/:app_id\/keys has a handler but no endpoint/,
    ],
    ['two handlers', { bound: [...handlers, handlers[0]!] }, /has two handlers/],
    [
      'two endpoints on one route',
      { declared: [...endpoints, { ...showKey, id: 'other' }] },
      /show_key and other are both GET/,
    ],
    [
      'two endpoints of one name',
      { declared: [...endpoints, { ...showKey, method: 'PUT' as const }] },
      /two endpoints are called show_key/,
    ],
  ])('keeps the server from starting with %s', async (_what, options, message) => {
    await expect(start(options)).rejects.toThrow(message)
  })
})

describe('closing', () => {
  it('lets what is in flight finish, takes nothing new, and ends idle connections', async () => {
    let release = () => {}
    let arrived = () => {}
    const inside = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const slow = bind(readMe, async () => {
      arrived()
      await new Promise<void>((resolve) => {
        release = resolve
      })
      return { agent_id: id }
    })
    await start({ bound: [...handlers.slice(0, 3), slow] })
    const idle = connect(port, '127.0.0.1')
    const idleEnded = new Promise((resolve) => idle.on('close', resolve))
    await new Promise((resolve) => idle.on('connect', resolve))
    const pending = send('GET', `/sdk/me/${id}`, { headers: { connection: 'keep-alive' } })
    await inside
    const closed = listener!.close(60_000)
    await idleEnded
    await expect(send('GET', key)).rejects.toThrow(/ECONNREFUSED/)
    release()
    const answered = await pending
    expect([answered.status, answered.headers.connection]).toEqual([200, 'close'])
    await closed
    listener = undefined
  })

  it('ends connections that do not finish in time, and tells their handlers', async () => {
    let aborted = () => {}
    const told = new Promise<void>((resolve) => {
      aborted = resolve
    })
    let arrived = () => {}
    const inside = new Promise<void>((resolve) => {
      arrived = resolve
    })
    const stuck = bind(readMe, async ({ signal }) => {
      arrived()
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      aborted()
      return { agent_id: id }
    })
    await start({ bound: [...handlers.slice(0, 3), stuck] })
    const pending = send('GET', `/sdk/me/${id}`)
    const refused = expect(pending).rejects.toThrow()
    await inside
    await listener!.close(1)
    await refused
    await told
    listener = undefined
  })
})

it('keeps a connection for longer than load balancers keep theirs', async () => {
  await start()
  const answer = await send('GET', `/sdk/me/${id}`, { headers: { 'x-api-key': 'good', connection: 'keep-alive' } })
  expect(answer.headers['keep-alive']).toBe('timeout=65')
})
