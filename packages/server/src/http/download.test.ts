import { everybody, noAudit, statusApi } from '@alter-vault/contracts'
import Type from 'typebox'
import { expect, test } from 'vitest'
import { systemClock } from '../kernel/clock.ts'
import { silentLog } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { Download } from './answer.ts'
import { checksNothing } from './authenticators.ts'
import { bind } from './bind-endpoint.ts'
import { createListener } from './listener.ts'

const endpoint = statusApi.defineEndpoint({
  id: 'fetch_file',
  method: 'GET',
  path: '/file',
  summary: 'Fetch a file',
  tag: 'test',
  access: everybody(),
  success: Type.String(),
  produces: ['text/csv'],
  errors: ['not_found'],
  audit: noAudit('a test'),
})

async function serve(chunks: () => AsyncIterable<string>) {
  const listener = await createListener({
    declared: [endpoint],
    bound: [bind(endpoint, async () => new Download({ contentType: 'text/csv', fileName: 'a.csv', chunks: chunks() }))],
    hotRoutes: new Map(),
    authenticators: { public: checksNothing },
    log: silentLog,
    clock: systemClock,
    publicUrl: 'http://127.0.0.1',
    trustedProxies: [],
    maxConnections: 1_000,
    bodyMemoryMib: 256,
    assertContracts: true,
  })
  const { port } = await listener.listen({ host: '127.0.0.1', port: 0 })
  return {
    fetch: (init?: RequestInit) => fetch(`http://127.0.0.1:${port}/file`, init),
    [Symbol.asyncDispose]: () => listener.close(0),
  }
}

test('a file is sent in parts, with a name, and is never kept by a cache', async () => {
  await using server = await serve(async function* () {
    for (let i = 0; i < 1_000; i++) yield `${i},é\n`
  })
  const answer = await server.fetch()
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe('text/csv')
  expect(answer.headers.get('content-disposition')).toBe('attachment; filename="a.csv"')
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(answer.headers.get('x-request-id')).not.toBeNull()
  const text = await answer.text()
  expect(text.split('\n')).toHaveLength(1_001)
  expect(text.startsWith('0,é\n1,é\n')).toBe(true)
})

test('a file of no parts is an empty answer', async () => {
  await using server = await serve(async function* () {})
  expect(await (await server.fetch()).text()).toBe('')
})

test('a refusal before the first part is answered as any refusal', async () => {
  // biome-ignore lint/correctness/useYield: it fails before it has anything to yield.
  await using server = await serve(async function* () {
    throw new VaultError('not_found')
  })
  const answer = await server.fetch()
  expect(answer.status).toBe(404)
  expect(await answer.json()).toMatchObject({ error: 'not_found' })
})

test('a failure on the way breaks the answer off: half a file never looks whole', async () => {
  await using server = await serve(async function* () {
    yield 'first'
    throw new Error('the store went away')
  })
  const read = server.fetch().then((answer) => answer.text())
  await expect(read).rejects.toThrow()
})

test('HEAD makes no file', async () => {
  let parts = 0
  await using server = await serve(async function* () {
    parts += 1
    yield 'x'
  })
  const answer = await server.fetch({ method: 'HEAD' })
  expect(answer.headers.get('content-type')).toBe('text/csv')
  expect(parts).toBe(0)
})
