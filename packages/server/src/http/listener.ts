import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import type { Log } from '../kernel/log.ts'
import { createClientIp } from './client-ip.ts'
import { createSendRefusal } from './error-response.ts'
import { bodyBudgets, createRequestBodies, type RequestBody } from './request-body.ts'
import { createRoutes, type RawContext, type RoutesOptions } from './routes.ts'

export type ListenerOptions = RoutesOptions & {
  log: Log
  clock: Pick<Clock, 'monotonic'>
  publicUrl: string
  trustedProxies: readonly string[]
  /** Connections at one time; further ones are closed at once. */
  maxConnections: number
  /** MiB that the bodies of requests may take together. */
  bodyMemoryMib: number
  /** How long an answer may wait for a caller that reads too little of it, and how often that is looked at. */
  unread?: { endAfterMs: number; lookEveryMs: number }
  /** Called once per answered request. `route` is `<METHOD> <declared path>`, `page` or `other`. */
  observe?: (route: string, status: number, seconds: number) => void
  /** Called once per refused request with the code of its refusal. */
  observeRefusal?: (code: string) => void
}

export type Listener = {
  /** Starts to accept. Port 0 takes a free one. Rejects when the address cannot be had. */
  listen(where: { host: string; port: number }): Promise<AddressInfo>
  /** Stops accepting, lets what is in flight finish for up to `graceMs`, then ends every connection. */
  close(graceMs: number): Promise<void>
}

const HEADERS_MAX_BYTES = 16 * 1024
const HEADERS_MAX_COUNT = 100
const HEADERS_TIMEOUT_MS = 15_000
const REQUEST_TIMEOUT_MS = 60_000
/** Longer than the 60 s of common load balancers, so that they close first and never send into a closing connection. */
const KEEP_ALIVE_MS = 65_000
/** How often Node looks for connections over these limits; its own 30 s let a slow header live three times as long as it may. */
const CHECK_CONNECTIONS_MS = 5_000
const UNREAD = { endAfterMs: 30_000, lookEveryMs: 5_000 }
/** Long enough to read the status, for a caller that still sends. */
const LINGER_MS = 1_000

/** A request that is not answered yet, and how much of its answer had been handed to the system when that last grew. */
type InFlight = { requestBody: RequestBody; handedOn: number; sinceMs: number }

/** The HTTP server of all APIs and pages. Throws when the handlers do not fit the declarations. */
export function createListener(options: ListenerOptions): Listener {
  const { log, clock, observe } = options
  const find = createRoutes(options)
  const sendRefusal = createSendRefusal({ log, publicUrl: options.publicUrl, observeRefusal: options.observeRefusal })
  const clientIpOf = createClientIp(options.trustedProxies)
  const bodyOf = createRequestBodies(bodyBudgets(options.bodyMemoryMib), clock)
  const unread = options.unread ?? UNREAD
  const inFlight = new Map<ServerResponse, InFlight>()
  let draining = false
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.rawHeaders.length > HEADERS_MAX_COUNT * 2) {
      endWith(request.socket, '431 Request Header Fields Too Large')
      return
    }
    const { method = '', url = '/' } = request
    const question = url.indexOf('?')
    const path = question < 0 ? url : url.slice(0, question)
    const { served, params, envelope } = find(method, url, path)
    const { name, endpoint } = served
    const clientIp = clientIpOf(request.socket.remoteAddress, request.headers['x-forwarded-for'])
    const requestBody = bodyOf(request, clientIp)
    const context: RawContext = {
      requestId: newId(),
      path,
      method,
      envelope,
      endpoint,
      clientIp,
      requestBody,
      sendRefusal,
    }
    inFlight.set(response, { requestBody, handedOn: 0, sinceMs: 0 })
    if (draining) response.setHeader('Connection', 'close')
    const startedMs = clock.monotonic()
    response.once('close', () => {
      inFlight.delete(response)
      requestBody.release()
      observe?.(name, response.statusCode, (clock.monotonic() - startedMs) / 1000)
    })
    try {
      await served.serve(request, response, context, params)
    } catch (error) {
      sendRefusal(response, error, context)
    }
  }

  const limits = {
    maxHeaderSize: HEADERS_MAX_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_CONNECTIONS_MS,
  }
  const server = createServer(limits, (request, response) => void answer(request, response))
  // Node drops what exceeds maxHeadersCount without a word; a dropped header is one that nobody checked.
  server.maxHeadersCount = 0
  server.maxConnections = options.maxConnections
  server.on('clientError', answerBroken)
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })

  /** One look at all of them costs a call nothing; a timer for each would. Not the socket's own timer: it counts what comes, too. */
  function endStalled(): void {
    const nowMs = clock.monotonic()
    for (const [response, entry] of inFlight) {
      const { socket } = response
      if (socket === null) continue
      if (entry.requestBody.isTooSlow()) {
        endWith(socket, '408 Request Timeout')
        continue
      }
      const waits = response.writableLength > 0 || (response.writableEnded && !response.writableFinished)
      if (!waits || socket.bytesWritten !== entry.handedOn) {
        entry.handedOn = socket.bytesWritten
        entry.sinceMs = nowMs
      } else if (nowMs - entry.sinceMs >= unread.endAfterMs) socket.destroy()
    }
  }
  const looking = setInterval(endStalled, unread.lookEveryMs).unref()

  return {
    listen: (where) =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(where, () => {
          server.off('error', reject)
          resolve(server.address() as AddressInfo)
        })
      }),
    async close(graceMs) {
      draining = true
      for (const response of inFlight.keys()) if (!response.headersSent) response.setHeader('Connection', 'close')
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      // To Node a connection that has sent nothing yet is not idle but about to send.
      for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy()
      const force = setTimeout(() => {
        log.warn({ in_flight: inFlight.size }, 'ended connections that did not finish in time')
        server.closeAllConnections()
      }, graceMs)
      await closed
      clearTimeout(force)
      clearInterval(looking)
    },
  }
}

/** What is not HTTP, too slow or too large in its headers gets a bare status: there is no request to refer to. */
function answerBroken(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  if (error.code === 'HPE_HEADER_OVERFLOW') endWith(socket, '431 Request Header Fields Too Large')
  else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') endWith(socket, '408 Request Timeout')
  else endWith(socket, '400 Bad Request')
}

function endWith(socket: Socket, status: string): void {
  if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  // An owner that keeps its side open would keep a half-closed connection alive for ever.
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
}
