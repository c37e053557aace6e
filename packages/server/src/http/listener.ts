import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Endpoint } from '@alter-vault/contracts'
import { type FastifyInstance, fastify } from 'fastify'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import type { Log } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { Authenticators } from './authenticators.ts'
import type { BoundEndpoint } from './bind-endpoint.ts'
import { createClientIp } from './client-ip.ts'
import { createDispatch } from './dispatch.ts'
import { createSendRefusal, methodNotAllowed, type RequestContext, type SendRefusal } from './error-response.ts'
import type { Idempotency } from './idempotency.ts'
import { assertHandlersMatch } from './match-handlers.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** An endpoint of the contracts; everything else is a page. */
    endpoint?: true
  }
}

/** What a hot handler gets beside the bare request and answer. */
export type RawContext = RequestContext & { clientIp: string; sendRefusal: SendRefusal }

/**
 * Serves a route without the router: it reads (`readBody`, `parseStrictJson`), authenticates and answers (`sendJson`) itself.
 * What it throws is answered through `sendRefusal`.
 */
export type RawHandler = (request: IncomingMessage, response: ServerResponse, context: RawContext) => Promise<void>

/** Adds pages to the listener; made by this folder, so that the web framework stays in it. */
export type Pages = (app: FastifyInstance) => void

export type ListenerOptions = {
  /** Everything the contracts declare (`declaredEndpoints`). */
  declared: readonly Endpoint[]
  bound: readonly BoundEndpoint[]
  /** By route, `POST /sdk/proxy`; each is declared too. */
  hotRoutes: ReadonlyMap<string, RawHandler>
  authenticators: Authenticators
  idempotency: Idempotency
  log: Log
  clock: Pick<Clock, 'monotonic'>
  publicUrl: string
  trustedProxies: readonly string[]
  pages?: readonly Pages[]
  /** Called once per answered request. `route` is `<METHOD> <declared path>`, or `other`. */
  observe?: (route: string, status: number, seconds: number) => void
  /** Called once per refused request with the code of its refusal. */
  observeRefusal?: (code: string) => void
  /** Test builds: a handler that refuses with an undeclared code, or answers in an undeclared form, is a fault. */
  assertContracts?: boolean
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
const PATH_PARAMETER_MAX_LENGTH = 500

/**
 * The HTTP server of both APIs. Fastify routes; bodies, validation and answers are ours. Throws when the handlers do not fit the
 * declarations.
 */
export async function createListener(options: ListenerOptions): Promise<Listener> {
  const { declared, bound, hotRoutes, log, clock, observe } = options
  assertHandlersMatch(declared, bound, hotRoutes.keys())

  const sendRefusal = createSendRefusal({ log, publicUrl: options.publicUrl, observeRefusal: options.observeRefusal })
  const clientIpOf = createClientIp(options.trustedProxies)
  const allowedMethods = createAllowedMethods(declared)
  const inFlight = new Set<ServerResponse>()
  let draining = false

  /** Hot routes by path; each takes one method. */
  const hot = new Map(
    [...hotRoutes].map(([route, handler]) => {
      const [method = '', path = ''] = route.split(' ')
      return [path, { method, route, handler }] as const
    }),
  )

  const contextOf = (request: IncomingMessage): RawContext => {
    const url = request.url ?? '/'
    const question = url.indexOf('?')
    return {
      requestId: newId(),
      path: question < 0 ? url : url.slice(0, question),
      method: request.method ?? '',
      clientIp: clientIpOf(request.socket.remoteAddress, request.headers['x-forwarded-for']),
      sendRefusal,
    }
  }

  function track(response: ServerResponse, route: string): void {
    inFlight.add(response)
    if (draining) response.setHeader('Connection', 'close')
    const startedMs = clock.monotonic()
    response.once('close', () => {
      inFlight.delete(response)
      observe?.(route, response.statusCode, (clock.monotonic() - startedMs) / 1000)
    })
  }

  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    forceCloseConnections: false,
    routerOptions: { maxParamLength: PATH_PARAMETER_MAX_LENGTH },
    clientErrorHandler: answerBroken,
    frameworkErrors: (_error, request, reply) => {
      reply.hijack()
      refuse(request.raw, reply.raw, new VaultError('not_found'))
    },
    serverFactory: (route) => {
      const server = createServer(
        {
          maxHeaderSize: HEADERS_MAX_BYTES,
          headersTimeout: HEADERS_TIMEOUT_MS,
          // Fastify sets these two on servers that it makes, not on this one.
          requestTimeout: REQUEST_TIMEOUT_MS,
          keepAliveTimeout: KEEP_ALIVE_MS,
        },
        (request, response) => {
          if (request.rawHeaders.length > HEADERS_MAX_COUNT * 2) {
            endWith(request.socket, '431 Request Header Fields Too Large')
            return
          }
          const url = request.url!
          const question = url.indexOf('?')
          const path = question < 0 ? url : url.slice(0, question)
          const found = hot.get(path)
          if (found === undefined || found.method !== request.method) {
            route(request, response)
            return
          }
          const context = contextOf(request)
          track(response, found.route)
          if (question >= 0) {
            sendRefusal(response, unexpectedQuery(), context)
            return
          }
          found.handler(request, response, context).catch((error: unknown) => sendRefusal(response, error, context))
        },
      )
      // Node drops what exceeds maxHeadersCount without a word; a dropped header is one that nobody checked.
      server.maxHeadersCount = 0
      return server
    },
  })
  const server: Server = app.server
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })

  function refuse(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    track(response, 'other')
    request.resume()
    sendRefusal(response, error, contextOf(request))
  }

  for (const one of bound) {
    const { endpoint } = one
    const route = `${endpoint.method} ${endpoint.path}`
    const dispatch = createDispatch(one, {
      authenticators: options.authenticators,
      idempotency: options.idempotency,
      assertContracts: options.assertContracts === true,
    })
    app.route({
      method: endpoint.method === 'GET' ? ['GET', 'HEAD'] : endpoint.method,
      url: endpoint.path,
      config: { endpoint: true },
      // Before the framework touches the body: reading, parsing and checking are ours.
      onRequest: async (request, reply) => {
        reply.hijack()
        const context = contextOf(request.raw)
        track(reply.raw, route)
        try {
          await dispatch({
            request: request.raw,
            response: reply.raw,
            params: request.params as Record<string, string>,
            requestId: context.requestId,
            clientIp: context.clientIp,
          })
        } catch (error) {
          sendRefusal(reply.raw, error, context)
        }
      },
      handler: () => {
        throw new Error('never reached: onRequest answers')
      },
    })
  }

  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) {
      // Here and not in a not-found handler: before that one the framework would read and judge the body.
      reply.hijack()
      const { method, path } = contextOf(request.raw)
      const allowed = allowedMethods(path)
      refuse(
        request.raw,
        reply.raw,
        allowed.length === 0 ? new VaultError('not_found') : methodNotAllowed(method, allowed),
      )
    } else if (request.routeOptions.config.endpoint !== true) {
      const { method, path } = contextOf(request.raw)
      const allowed = allowedMethods(path)
      // The pages of an app answer to every path below theirs; an endpoint among them stays one.
      if (allowed.length > 0) {
        reply.hijack()
        refuse(request.raw, reply.raw, methodNotAllowed(method, allowed))
        return
      }
      track(reply.raw, 'page')
      reply.header('X-Request-ID', newId())
    }
  })
  app.setErrorHandler((error, request, reply) => {
    reply.hijack()
    refuse(request.raw, reply.raw, error)
  })
  for (const addPages of options.pages ?? []) app.register(async (scope) => addPages(scope))
  await app.ready()

  return {
    async listen(where) {
      await app.listen({ ...where })
      return server.address() as AddressInfo
    },
    async close(graceMs) {
      draining = true
      for (const response of inFlight) if (!response.headersSent) response.setHeader('Connection', 'close')
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
      await app.close()
    },
  }
}

/** The methods that a path takes; empty for an unknown path. As the router does, words are taken before parameters. */
function createAllowedMethods(declared: readonly Endpoint[]): (path: string) => string[] {
  const routes = declared.map(({ method, path }) => ({
    method,
    parameters: path.split(':').length,
    pattern: new RegExp(`^${path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/:[A-Za-z_]+/g, '[^/]+')}$`),
  }))
  return (path) => {
    const fitting = routes.filter(({ pattern }) => pattern.test(path))
    const fewest = Math.min(...fitting.map(({ parameters }) => parameters))
    const methods = new Set<string>(
      fitting.filter(({ parameters }) => parameters === fewest).map(({ method }) => method),
    )
    if (methods.has('GET')) methods.add('HEAD')
    return [...methods].sort()
  }
}

function unexpectedQuery(): VaultError {
  const message = 'This path takes no query parameters. Nothing was sent.'
  return new VaultError('validation_failed', {
    message,
    errors: [{ pointer: 'query:', code: 'unknown_field', message }],
  })
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
  else socket.destroy()
}
