import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'

/** One request as it arrived at the provider. */
export type RecordedRequest = {
  method: string
  /** Path without the query. */
  path: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
  body: string
}

/** A provider that remembers every request. It knows nothing of the vault. */
export type RecordingApi = AsyncDisposable & {
  url: string
  /** `127.0.0.1:<port>`, as the vault's settings name it. */
  host: string
  port: number
  requests: RecordedRequest[]
  /** The requests that asked for one path. */
  to(path: string): RecordedRequest[]
  /** Holds back the answers to a path until `release` is called. `arrived` resolves with the first such request. */
  hold(path: string): { arrived: Promise<RecordedRequest>; release: () => void }
  /** Connections that were opened, whether or not a request came over them. */
  connections(): number
}

type Held = { promise: Promise<void>; arrive: (request: RecordedRequest) => void }

/**
 * Starts the provider on a free port of the loopback address, or where it is told to.
 *
 *   any path            200, says which method and path came and the body; nothing of the headers
 *   /status/<n>         that status
 *   /bytes/<n>          200 and so many bytes
 *   /redirect           302 to the query member `to`
 *   …/echo              200, everything that came: headers and query as they are, in base64 and percent-encoded, in body and headers
 *   /gzip/echo          the same, compressed
 */
export async function startRecordingApi(at: { address?: string; port?: number } = {}): Promise<RecordingApi> {
  const { address = '127.0.0.1' } = at
  const requests: RecordedRequest[] = []
  const held = new Map<string, Held>()
  let connections = 0

  async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(incoming.url ?? '/', 'http://provider')
    let body = ''
    for await (const chunk of incoming.setEncoding('utf8')) body += chunk
    const request: RecordedRequest = {
      method: incoming.method ?? '',
      path: pathname,
      query: searchParams,
      headers: incoming.headers,
      body,
    }
    requests.push(request)
    const wait = held.get(pathname)
    wait?.arrive(request)
    await wait?.promise
    const status = /^\/status\/(\d{3})$/.exec(pathname)?.[1]
    if (status !== undefined) return send(response, Number(status), { status: Number(status) })
    const bytes = /^\/bytes\/(\d+)$/.exec(pathname)?.[1]
    if (bytes !== undefined) {
      response.end(Buffer.alloc(Number(bytes), 'x'))
      return
    }
    if (pathname === '/redirect') {
      response.writeHead(302, { Location: searchParams.get('to') ?? '/', 'Content-Length': 0 })
      response.end()
      return
    }
    if (pathname.endsWith('/echo')) return echo(request, response)
    send(response, 200, { method: request.method, path: pathname, body })
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  // A vault that slept for a while finds its connections as they were.
  server.keepAliveTimeout = 60_000
  server.on('connection', () => {
    connections += 1
  })
  server.listen(at.port ?? 0, address)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const host = `${address}:${port}`

  return {
    url: `http://${host}`,
    host,
    port,
    requests,
    to: (path) => requests.filter((request) => request.path === path),
    hold(path) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const arrival = Promise.withResolvers<RecordedRequest>()
      held.set(path, { promise, arrive: arrival.resolve })
      return {
        arrived: arrival.promise,
        release() {
          held.delete(path)
          resolve()
        },
      }
    },
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** What a debugging endpoint of a careless provider does: it gives back what it was sent, in every way it can think of. */
function echo({ path, headers, query, body }: RecordedRequest, response: ServerResponse): void {
  const seen = [...Object.values(headers).map(String), ...query.values()]
  const forms = seen.flatMap((value) => [
    value,
    Buffer.from(value).toString('base64'),
    Buffer.from(value).toString('base64url'),
    encodeURIComponent(value),
    ...value.split(' '),
    ...value.split(' ').map((word) => Buffer.from(word).toString('base64')),
  ])
  const authorization = headers.authorization ?? ''
  response.setHeader('X-Echo', authorization)
  response.setHeader('X-Echo-Base64', Buffer.from(authorization).toString('base64'))
  response.setHeader('Set-Cookie', `session=${encodeURIComponent(authorization)}`)
  if (path.startsWith('/gzip/')) {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' })
    response.end(gzipSync(JSON.stringify({ forms, body })))
  } else send(response, 200, { forms, body })
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body)
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) })
  response.end(text)
}
