import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { canonicalUrl } from './canonical-url.ts'
import { LOOPBACK_CERTIFICATE, LOOPBACK_PRIVATE_KEY } from './testing/loopback-certificate.ts'
import { createUpstream, type UpstreamLimits, type UpstreamRequest } from './upstream.ts'

const LOOPBACK = { address: '127.0.0.1', family: 4 } as const
const open = { isOpen: () => true, remainingMs: () => 2_000 }

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** Time that moves by hand: `fire` runs the pending timers of one length. */
function handTime() {
  const time = { now: 0 }
  const pending = new Set<{ delayMs: number; action: () => void }>()
  return {
    time,
    pending,
    clock: { now: () => time.now, monotonic: () => time.now },
    after(delayMs: number, action: () => void) {
      const timer = { delayMs, action }
      pending.add(timer)
      return () => void pending.delete(timer)
    },
    fire(delayMs: number) {
      for (const timer of [...pending].filter((one) => one.delayMs === delayMs)) {
        pending.delete(timer)
        timer.action()
      }
    },
  }
}

function makeUpstream(limits: Partial<UpstreamLimits> = {}, certificateAuthorities?: string[]) {
  const hand = handTime()
  const { clock, after } = hand
  const upstream = createUpstream({
    clock,
    after,
    limits,
    ...(certificateAuthorities ? { certificateAuthorities } : {}),
  })
  closers.push(() => upstream.close())
  return { ...hand, upstream }
}

async function listen(server: Server | TcpServer): Promise<number> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  closers.push(() => new Promise((done) => server.close(done)))
  if ('closeAllConnections' in server) closers.push(() => server.closeAllConnections())
  return (server.address() as AddressInfo).port
}

async function serve(listener: RequestListener): Promise<number> {
  return listen(createServer(listener))
}

/** A TCP server that hands out its sockets and speaks only when told to. */
async function serveRaw(onSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const port = await listen(
    createTcpServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      onSocket(socket)
    }),
  )
  closers.push(() => {
    for (const socket of sockets) socket.destroy()
  })
  return port
}

function request(port: number, over: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return {
    url: canonicalUrl(`http://provider.test:${port}/v1/things?a=1`),
    address: LOOPBACK,
    owner: { appId: 'app', keyId: 'key' },
    method: 'GET',
    headers: [],
    body: undefined,
    sendWindow: open,
    ...over,
  }
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of incoming) text += chunk
  return text
}

test('an app whose calls hang takes no socket from another app that calls the same origin', async () => {
  let asked = 0
  const port = await serve((incoming, answer) => {
    asked++
    if (incoming.url === '/answers') answer.end('here')
  })
  const { upstream, fire } = makeUpstream({ maxConnectionsPerPool: 2, totalTimeoutMs: 50_000 })
  for (let i = 0; i < 3; i++) upstream.send(request(port)).catch(() => undefined)
  const url = canonicalUrl(`http://provider.test:${port}/answers`)
  const answer = await upstream.send(request(port, { url, owner: { appId: 'victim', keyId: 'key' } }))
  expect(answer.body.toString()).toBe('here')
  expect(asked).toBeLessThan(4)
  fire(50_000)
})

test('an answer ends when whoever asked has no room for more of it', async () => {
  const port = await serve((_, answer) => answer.end('x'.repeat(1_000_000)))
  const { upstream } = makeUpstream()
  let taken = 0
  const takeRoom = (bytes: number) => {
    taken += bytes
    return taken < 200_000
  }
  await expect(upstream.send(request(port, { takeRoom }))).rejects.toMatchObject({
    code: 'service_unavailable',
    sent: true,
  })
  expect(upstream.load()).toMatchObject({ calls: 0, bytes: 0 })
})

describe('a call', () => {
  test('dials the checked address and names the host of the URL', async () => {
    const port = await serve(async (incoming, answer) => {
      const { method, url, headers } = incoming
      answer.end(JSON.stringify({ method, url, headers, body: await bodyOf(incoming) }))
    })
    const { upstream } = makeUpstream()
    const headers: [string, string][] = [
      ['authorization', 'Bearer t'],
      ['x-a', '1'],
    ]
    const answer = await upstream.send(request(port, { method: 'POST', headers, body: Buffer.from('{"a":1}') }))
    const seen = JSON.parse(answer.body.toString())
    expect(seen).toMatchObject({ method: 'POST', url: '/v1/things?a=1', body: '{"a":1}' })
    expect(seen.headers).toMatchObject({
      host: `provider.test:${port}`,
      authorization: 'Bearer t',
      'x-a': '1',
      'content-length': '7',
    })
    expect(answer).toMatchObject({ statusCode: 200, truncated: false })
  })

  test('brings a redirect back and does not follow it', async () => {
    const visited: string[] = []
    const port = await serve((incoming, answer) => {
      visited.push(incoming.url!)
      answer.writeHead(302, { location: 'http://169.254.169.254/latest/' }).end()
    })
    const { upstream } = makeUpstream()
    const answer = await upstream.send(request(port))
    expect(answer.statusCode).toBe(302)
    expect(answer.headers).toContainEqual(['location', 'http://169.254.169.254/latest/'])
    expect(visited).toEqual(['/v1/things?a=1'])
  })

  test('keeps repeated headers apart and does not decompress', async () => {
    const port = await serve((_, answer) => {
      answer.writeHead(200, { 'set-cookie': ['a=1', 'b=2'], 'content-encoding': 'gzip' }).end('not really gzip')
    })
    const { upstream } = makeUpstream()
    const answer = await upstream.send(request(port))
    expect(answer.headers.filter(([name]) => name === 'set-cookie').map(([, value]) => value)).toEqual(['a=1', 'b=2'])
    expect(answer.body.toString()).toBe('not really gzip')
  })

  test('passes over interim answers', async () => {
    const port = await serve((_, answer) => {
      answer.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => answer.end('final'))
    })
    const { upstream } = makeUpstream()
    const answer = await upstream.send(request(port))
    expect([answer.statusCode, answer.body.toString()]).toEqual([200, 'final'])
  })

  test('uses one connection for calls to one origin at one address, and another for another address', async () => {
    const ports: number[] = []
    const server = createServer((incoming, answer) => answer.end(String(incoming.socket.remotePort)))
    await new Promise<void>((done) => server.listen(0, '0.0.0.0', done))
    closers.push(
      () => new Promise((done) => server.close(done)),
      () => server.closeAllConnections(),
    )
    const { port } = server.address() as AddressInfo
    const { upstream } = makeUpstream()
    for (const address of ['127.0.0.1', '127.0.0.1', '127.0.0.2']) {
      const answer = await upstream.send(request(port, { address: { address, family: 4 } }))
      ports.push(Number(answer.body.toString()))
      // The connection is free again after the turn in which its answer ended.
      await new Promise(setImmediate)
    }
    expect(ports[0]).toBe(ports[1])
    expect(ports[2]).not.toBe(ports[1])
    expect(upstream.load()).toEqual({ calls: 0, bytes: 0, pools: 2 })
  })

  test('speaks TLS for the host of the URL, checked against its certificate', async () => {
    const names: (string | false)[] = []
    const server = createTlsServer({ cert: LOOPBACK_CERTIFICATE, key: LOOPBACK_PRIVATE_KEY }, (_, answer) => {
      answer.end('secret answer')
    })
    server.on('secureConnection', (socket) => names.push(socket.servername as string | false))
    server.on('tlsClientError', () => {})
    const port = await listen(server)
    const { upstream } = makeUpstream({}, [LOOPBACK_CERTIFICATE])
    const good = await upstream.send(request(port, { url: canonicalUrl(`https://provider.test:${port}/`) }))
    expect(good.body.toString()).toBe('secret answer')
    expect(names).toEqual(['provider.test'])

    const wrongName = upstream.send(request(port, { url: canonicalUrl(`https://other.test:${port}/`) }))
    await expect(wrongName).rejects.toMatchObject({ code: 'provider_unreachable', sent: false })
    const stranger = makeUpstream().upstream
    const untrusted = stranger.send(request(port, { url: canonicalUrl(`https://provider.test:${port}/`) }))
    await expect(untrusted).rejects.toMatchObject({ code: 'provider_unreachable', sent: false })
  })
})

describe('an answer over a limit', () => {
  test('is cut there and flagged', async () => {
    const port = await serve((_, answer) => answer.end('0123456789abcdef'))
    const { upstream } = makeUpstream({ maxResponseBytes: 10 })
    const answer = await upstream.send(request(port))
    expect(answer).toMatchObject({ truncated: true, statusCode: 200 })
    expect(answer.body.toString()).toBe('0123456789')
    expect(upstream.load()).toMatchObject({ calls: 0, bytes: 0 })
  })

  test('is whole when it has exactly the greatest length', async () => {
    const port = await serve((_, answer) => answer.end('0123456789'))
    const { upstream } = makeUpstream()
    const answer = await upstream.send(request(port, { maxResponseBytes: 10 }))
    expect([answer.truncated, answer.body.length]).toEqual([false, 10])
  })

  test('is dropped when the process holds too many bytes, and says that it was sent', async () => {
    const port = await serve((_, answer) => answer.end('x'.repeat(100)))
    const { upstream } = makeUpstream({ maxBytesInFlight: 50 })
    await expect(upstream.send(request(port))).rejects.toMatchObject({ code: 'service_unavailable', sent: true })
    expect(upstream.load()).toMatchObject({ calls: 0, bytes: 0 })
  })
})

describe('a provider that fails', () => {
  test('by refusing the connection: nothing was sent', async () => {
    const server = createTcpServer()
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const { port } = server.address() as AddressInfo
    await new Promise((done) => server.close(done))
    const { upstream } = makeUpstream()
    await expect(upstream.send(request(port))).rejects.toMatchObject({
      code: 'provider_unreachable',
      status: 502,
      sent: false,
      fields: { upstream_may_have_executed: false },
    })
  })

  test('by closing after the request: it may have been executed', async () => {
    const port = await serveRaw((socket) => socket.once('data', () => socket.destroy()))
    const { upstream } = makeUpstream()
    await expect(upstream.send(request(port))).rejects.toMatchObject({
      code: 'provider_unreachable',
      sent: true,
      fields: { upstream_may_have_executed: true },
    })
  })

  test('by breaking off inside the body', async () => {
    const port = await serveRaw((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'))
    })
    const { upstream } = makeUpstream()
    await expect(upstream.send(request(port))).rejects.toMatchObject({ code: 'provider_unreachable', sent: true })
    expect(upstream.load()).toMatchObject({ calls: 0, bytes: 0 })
  })

  test('by speaking something other than HTTP', async () => {
    const port = await serveRaw((socket) => socket.once('data', () => socket.end('220 smtp.test ESMTP\r\n')))
    const { upstream } = makeUpstream()
    await expect(upstream.send(request(port))).rejects.toMatchObject({ code: 'provider_unreachable', sent: true })
  })

  test('by sending no headers in time', async () => {
    const { promise: asked, resolve } = Promise.withResolvers<void>()
    const port = await serveRaw((socket) => socket.once('data', () => resolve()))
    const { upstream, fire } = makeUpstream({ headersTimeoutMs: 30_000 })
    const call = upstream.send(request(port))
    const outcome = expect(call).rejects.toMatchObject({
      code: 'provider_timeout',
      status: 504,
      sent: true,
      fields: { timeout_reason: 'upstream_timeout', upstream_may_have_executed: true },
    })
    await asked
    fire(30_000)
    await outcome
  })

  test('by never ending its body', async () => {
    const { promise: asked, resolve } = Promise.withResolvers<void>()
    const port = await serve((_, answer) => {
      answer.write('the beginning')
      resolve()
    })
    const { upstream, fire, pending } = makeUpstream({ totalTimeoutMs: 60_000, headersTimeoutMs: 30_000 })
    const call = upstream.send(request(port))
    const outcome = expect(call).rejects.toMatchObject({ code: 'provider_timeout', sent: true })
    await asked
    await vi.waitUntil(() => ![...pending].some(({ delayMs }) => delayMs === 30_000))
    fire(60_000)
    await outcome
    expect(pending.size).toBe(0)
  })
})

describe('the send window', () => {
  test('closed before the call: nothing is dialled', async () => {
    const onSocket = vi.fn()
    const port = await serveRaw(onSocket)
    const { upstream } = makeUpstream()
    const call = upstream.send(request(port, { sendWindow: { isOpen: () => false, remainingMs: () => 0 } }))
    await expect(call).rejects.toMatchObject({ code: 'service_unavailable', status: 503, sent: false })
    expect(onSocket).not.toHaveBeenCalled()
  })

  test('closed while the connection was made: the connection carries no byte of the request', async () => {
    const received: Buffer[] = []
    const port = await serveRaw((socket) => socket.on('data', (chunk) => received.push(chunk)))
    const { upstream } = makeUpstream()
    let asked = 0
    const sendWindow = { isOpen: () => asked++ === 0, remainingMs: () => 2_000 }
    await expect(upstream.send(request(port, { sendWindow }))).rejects.toMatchObject({
      code: 'service_unavailable',
      sent: false,
    })
    expect(asked).toBe(2)
    await upstream.close()
    expect(received).toEqual([])
  })

  test('ends the wait of a call behind a busy connection, which is then never sent', async () => {
    const paths: string[] = []
    let release = () => {}
    const { promise: busy, resolve } = Promise.withResolvers<void>()
    const port = await serve((incoming, answer) => {
      paths.push(incoming.url!)
      release = () => answer.end('done')
      resolve()
    })
    const { upstream, fire } = makeUpstream({ maxConnectionsPerPool: 1, connectTimeoutMs: 10_000 })
    const first = upstream.send(request(port, { url: canonicalUrl(`http://provider.test:${port}/first`) }))
    await busy
    const second = upstream.send(
      request(port, {
        url: canonicalUrl(`http://provider.test:${port}/second`),
        sendWindow: { isOpen: () => true, remainingMs: () => 1_234 },
      }),
    )
    const outcome = expect(second).rejects.toMatchObject({ code: 'provider_timeout', sent: false })
    fire(1_234)
    await outcome
    release()
    expect((await first).body.toString()).toBe('done')
    const third = upstream.send(request(port, { url: canonicalUrl(`http://provider.test:${port}/third`) }))
    await vi.waitUntil(() => paths.includes('/third'))
    release()
    await third
    expect(paths).toEqual(['/first', '/third'])
  })
})

describe('a busy process', () => {
  test('refuses a call over the number of calls, with nothing sent', async () => {
    let release = () => {}
    const { promise: busy, resolve } = Promise.withResolvers<void>()
    const port = await serve((_, answer) => {
      release = () => answer.end()
      resolve()
    })
    const { upstream } = makeUpstream({ maxCalls: 1 })
    const first = upstream.send(request(port))
    await busy
    await expect(upstream.send(request(port))).rejects.toMatchObject({
      code: 'service_unavailable',
      sent: false,
      retryAfterSeconds: 1,
    })
    release()
    await first
  })

  test('refuses a body over the bytes in flight', async () => {
    const { upstream } = makeUpstream({ maxBytesInFlight: 10 })
    const call = upstream.send(request(1, { method: 'POST', body: Buffer.alloc(11) }))
    await expect(call).rejects.toMatchObject({ code: 'service_unavailable', sent: false })
  })

  test('closes the pool that was idle longest to make room for another host', async () => {
    const port = await serve((_, answer) => answer.end())
    const { upstream } = makeUpstream({ maxPools: 2 })
    for (const host of ['a.test', 'b.test', 'c.test', 'a.test']) {
      await upstream.send(request(port, { url: canonicalUrl(`http://${host}:${port}/`) }))
    }
    expect(upstream.load().pools).toBe(2)
  })

  test('refuses another host when every pool is in use', async () => {
    let release = () => {}
    const { promise: busy, resolve } = Promise.withResolvers<void>()
    const port = await serve((_, answer) => {
      release = () => answer.end()
      resolve()
    })
    const { upstream } = makeUpstream({ maxPools: 1 })
    const first = upstream.send(request(port))
    await busy
    const other = upstream.send(request(port, { url: canonicalUrl(`http://other.test:${port}/`) }))
    await expect(other).rejects.toMatchObject({ code: 'service_unavailable', sent: false })
    release()
    await first
  })
})

test('close waits for calls in flight and refuses new ones', async () => {
  let release = () => {}
  const { promise: busy, resolve } = Promise.withResolvers<void>()
  const port = await serve((_, answer) => {
    release = () => answer.end('late')
    resolve()
  })
  const { upstream } = makeUpstream()
  const call = upstream.send(request(port))
  await busy
  const closed = upstream.close()
  await expect(upstream.send(request(port))).rejects.toMatchObject({ code: 'service_unavailable', sent: false })
  release()
  expect((await call).body.toString()).toBe('late')
  await closed
})
