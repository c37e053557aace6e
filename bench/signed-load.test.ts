import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { generateLoad } from './signed-load.ts'

test('signed requests that run out end the run, and none is sent twice', async () => {
  const nonces: unknown[] = []
  const server = createServer((request, response) => {
    nonces.push(request.headers['x-alter-nonce'])
    request.resume().on('end', () => response.end('{}'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const result = await generateLoad({
    port: (server.address() as AddressInfo).port,
    connections: 2,
    warmupSeconds: 0,
    seconds: 60,
    requests: { kind: 'signed', path: '/sdk/proxy', keys: ['alter_rk_a'], bodies: ['{"a":1}', '{"a":2}'], count: 5 },
  })
  expect(result).toMatchObject({ ranOut: true, firstFailure: null })
  expect(nonces.length).toBeGreaterThanOrEqual(5)
  expect(nonces.length).toBeLessThanOrEqual(10)
  expect(new Set(nonces).size).toBe(nonces.length)
})

test('a run that its time ends did not run out', async () => {
  const server = createServer((_, response) => response.end('{}'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { ranOut, statuses } = await generateLoad({
    port: (server.address() as AddressInfo).port,
    connections: 1,
    warmupSeconds: 0,
    seconds: 0.2,
    requests: { kind: 'plain', path: '/v1/payments' },
  })
  expect(ranOut).toBe(false)
  expect(statuses['200']).toBeGreaterThan(0)
})

test('of two servers each gets half of the connections, and every key', async () => {
  async function listen(): Promise<{ port: number; keys: Set<unknown> }> {
    const keys = new Set<unknown>()
    const server = createServer((request, response) => {
      keys.add(request.headers['x-api-key'])
      request.resume().on('end', () => response.end('{}'))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    return { port: (server.address() as AddressInfo).port, keys }
  }
  const [one, other] = [await listen(), await listen()]
  const keys = ['alter_rk_a', 'alter_rk_b']
  await generateLoad({
    port: one.port,
    otherPort: other.port,
    connections: 4,
    warmupSeconds: 0,
    seconds: 60,
    requests: { kind: 'signed', path: '/sdk/proxy', keys, bodies: ['{}'], count: 50 },
  })
  expect([one.keys, other.keys]).toEqual([new Set(keys), new Set(keys)])
})
