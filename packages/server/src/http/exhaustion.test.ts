/*
 * What somebody without any right could do with connections alone.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { everybody, noAudit, sdkApi } from '@alter-vault/contracts'
import Type from 'typebox'
import { afterEach, expect, test } from 'vitest'
import { silentLog } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { sendJson } from './error-response.ts'
import { createListener, type Listener, type ListenerOptions } from './listener.ts'
import { PROXY_BODY_MAX_BYTES } from './request-body.ts'

const call = sdkApi.defineEndpoint({
  id: 'call',
  method: 'POST',
  path: '/sdk/call',
  summary: 'Call',
  tag: 'calls',
  access: everybody(),
  success: Type.Unknown(),
  errors: [],
  audit: noAudit('a test'),
})
const LONG_ANSWER = 'x'.repeat(25 * 1024 * 1024)
const time = { now: 0 }

let listener: Listener | undefined
let port = 0
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await listener?.close(1_000)
  listener = undefined
})

async function start(options: Partial<ListenerOptions> = {}): Promise<void> {
  listener = createListener({
    declared: [call],
    bound: [],
    hotRoutes: new Map([
      [
        'POST /sdk/call',
        async (request, response, { requestId, requestBody }) => {
          const key = request.headers['x-api-key']
          if (key === undefined) throw new VaultError('invalid_key')
          await requestBody.read(PROXY_BODY_MAX_BYTES, String(key))
          sendJson(response, 200, LONG_ANSWER, requestId)
        },
      ],
    ]),
    authenticators: { public: async () => ({ principal: null }) },
    log: silentLog,
    clock: { monotonic: () => time.now },
    publicUrl: 'https://vault.example',
    trustedProxies: [],
    maxConnections: 1_000,
    bodyMemoryMib: 256,
    ...options,
  })
  port = (await listener.listen({ host: '127.0.0.1', port: 0 })).port
}

/** A connection whose owner never closes its side. */
type Stubborn = { socket: Socket; received: () => string }

async function open(text = ''): Promise<Stubborn> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  sockets.push(socket)
  socket.on('error', () => undefined)
  let received = ''
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1')
  })
  await once(socket, 'connect')
  socket.write(text)
  return { socket, received: () => received }
}

/** Resolves when the server has let go of the connection: one that it only half-closed would still take an empty line. */
async function isGone({ socket }: Stubborn): Promise<void> {
  const poke = setInterval(() => socket.write('\r\n'), 50)
  await new Promise<void>((resolve) => {
    socket.once('error', () => resolve())
    socket.once('close', () => resolve())
  }).finally(() => clearInterval(poke))
}

const head = (...lines: string[]) => ['POST /sdk/call HTTP/1.1', 'Host: v', ...lines, '', ''].join('\r\n')
const ONE_MIB = Buffer.alloc(1024 * 1024, 0x20)

test('a body of somebody without a key is answered without being read, and its connection is closed', async () => {
  await start()
  const attackers = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const attacker = await open(head('Content-Length: 10485760'))
      attacker.socket.write(ONE_MIB)
      await isGone(attacker)
      return attacker.received()
    }),
  )
  for (const received of attackers) {
    expect(received).toMatch(/^HTTP\/1\.1 401 [\s\S]*Connection: close[\s\S]*invalid_key/)
  }
})

test.each([
  ['400 Bad Request', 'nonsense\r\n\r\n'],
  ['431 Request Header Fields Too Large', head(...Array.from({ length: 102 }, (_, i) => `X-${i}: 1`))],
  ['431 Request Header Fields Too Large', head(`X-Long: ${'x'.repeat(20_000)}`)],
])('a connection refused with %s is closed although its owner keeps its side open', async (status, text) => {
  await start()
  const refused = await open(text)
  await isGone(refused)
  expect(refused.received()).toContain(`HTTP/1.1 ${status}`)
})

test('an answer that nobody reads is dropped with its connection, whatever else its owner sends; one that is read slowly arrives whole', async () => {
  await start({ unread: { endAfterMs: 300, lookEveryMs: 50 }, clock: { monotonic: () => performance.now() } })
  const request = head('X-Api-Key: k', 'Content-Length: 0')
  const deaf = await open(request)
  deaf.socket.pause()
  const slow = await open(request)
  let bytes = 0
  const whole = new Promise<void>((resolve) => {
    slow.socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      slow.socket.pause()
      setTimeout(() => slow.socket.resume(), 2)
      if (bytes > LONG_ANSWER.length) resolve()
    })
  })
  await Promise.all([whole, isGone(deaf)])
})

test('a body that drips does not keep its connection', async () => {
  await start({ unread: { endAfterMs: 30_000, lookEveryMs: 50 } })
  const dripping = await open(`${head('X-Api-Key: k', 'Content-Length: 1000000')}x`)
  // The server has begun to wait for the body once a request behind it was answered.
  await isGone(await open('nonsense\r\n\r\n'))
  time.now += 20_000
  await isGone(dripping)
  expect(dripping.received()).toContain('HTTP/1.1 408 Request Timeout')
})

test('more connections than are allowed are closed at once', async () => {
  await start({ maxConnections: 2 })
  await open()
  await open()
  await isGone(await open())
})
