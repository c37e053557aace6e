import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Api, Endpoint } from '@alter-vault/contracts'
import createRouter from 'find-my-way'
import { VaultError } from '../kernel/vault-error.ts'
import type { Authenticator } from './authenticators.ts'
import type { BoundEndpoint } from './bind-endpoint.ts'
import { routeOf } from './declared-endpoints.ts'
import { createDispatch } from './dispatch.ts'
import { methodNotAllowed, type RequestContext, type SendRefusal } from './error-response.ts'
import { assertHandlersMatch } from './match-handlers.ts'
import type { RequestBody } from './request-body.ts'

/** What a raw handler gets beside the bare request and answer. */
export type RawContext = RequestContext & { clientIp: string; requestBody: RequestBody; sendRefusal: SendRefusal }

/**
 * Serves an endpoint by itself: it reads (`requestBody`, `parseStrictJson`), authenticates and answers (`sendJson`). Its path takes no
 * query. What it throws is answered through `sendRefusal`.
 */
export type RawHandler = (request: IncomingMessage, response: ServerResponse, context: RawContext) => Promise<void>

/** What is no endpoint: pages for browsers. */
export type Page = {
  /** Exact, or everything below it: `/wallet/*`. */
  path: string
  /** Answers GET and HEAD. What it throws is answered through `sendRefusal`. */
  serve: (request: IncomingMessage, response: ServerResponse) => void
}

export type RoutesOptions = {
  /** Everything the contracts declare (`declaredEndpoints`). */
  declared: readonly Endpoint[]
  bound: readonly BoundEndpoint[]
  /** By route, `POST /sdk/proxy`; each is declared too. */
  hotRoutes: ReadonlyMap<string, RawHandler>
  /** By the kind of access that endpoints name. */
  authenticators: Readonly<Record<string, Authenticator>>
  pages?: readonly Page[]
  /** Test builds: a handler that refuses with an undeclared code, or answers in an undeclared form, is a fault. */
  assertContracts?: boolean
}

const PATH_PARAMETER_MAX_LENGTH = 500
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

type Params = Readonly<Record<string, string>>
type Served = {
  /** For `observe`. */
  name: string
  /** Undefined for pages. */
  endpoint?: Endpoint | undefined
  serve: (request: IncomingMessage, response: ServerResponse, context: RawContext, params: Params) => unknown
}

/** What serves a request. */
export type Found = { served: Served; params: Params; envelope: Api['envelope'] }

/** Finds what serves a request; for one that nothing serves, its refusal. Throws when the handlers do not fit the declarations. */
export function createRoutes(options: RoutesOptions): (method: string, url: string, path: string) => Found {
  const { declared, bound, hotRoutes, authenticators } = options
  assertHandlersMatch(declared, bound, hotRoutes.keys(), authenticators)
  const envelopeAt = createEnvelopeAt(declared)
  // Queries are parsed by the endpoint that takes one.
  const router = createRouter({ maxParamLength: PATH_PARAMETER_MAX_LENGTH, querystringParser: () => ({}) })
  const add = (method: Endpoint['method'], path: string, served: Served) =>
    router.on(method === 'GET' ? ['GET', 'HEAD'] : [method], path, () => undefined, served)

  for (const one of bound) {
    const { endpoint } = one
    const dispatch = createDispatch(one, {
      authenticate: authenticators[endpoint.access.kind] as Authenticator<unknown>,
      assertContracts: options.assertContracts === true,
    })
    add(endpoint.method, endpoint.path, {
      name: routeOf(endpoint),
      endpoint,
      serve: (request, response, { requestId, requestBody, clientIp }, params) =>
        dispatch({ request, response, requestBody, params, requestId, clientIp }),
    })
  }
  for (const endpoint of declared) {
    const name = routeOf(endpoint)
    const handler = hotRoutes.get(name)
    if (handler === undefined) continue
    add(endpoint.method, endpoint.path, {
      name,
      endpoint,
      serve(request, response, context) {
        if (request.url?.includes('?')) throw unexpectedQuery()
        return handler(request, response, context)
      },
    })
  }
  for (const { path, serve } of options.pages ?? []) {
    add('GET', path, {
      name: 'page',
      serve(request, response, { requestId }) {
        response.setHeader('X-Request-ID', requestId)
        return serve(request, response)
      },
    })
  }

  /** The endpoints of a path, whatever their method. As the router does, words are taken before parameters. */
  function endpointsAt(path: string): Endpoint[] {
    const found = METHODS.flatMap((method) => {
      const { store, params } = router.find(method, path) ?? {}
      // The router takes nothing for a parameter; no id is empty.
      return Object.values(params ?? {}).includes('') ? [] : ((store as Served | undefined)?.endpoint ?? [])
    })
    const parameters = ({ path }: Endpoint) => path.split(':').length
    const fewest = Math.min(...found.map(parameters))
    return found.filter((endpoint) => parameters(endpoint) === fewest)
  }

  return (method, url, path) => {
    const found = router.find(method as 'GET', url)
    let served = found?.store as Served | undefined
    if (served?.endpoint === undefined) {
      // The pages of an app answer to every path below theirs; an endpoint among them stays one.
      const [endpoint, ...others] = endpointsAt(path)
      if (endpoint !== undefined) served = refusing(methodNotAllowed(method, [endpoint, ...others]), endpoint)
    }
    served ??= refusing(new VaultError('not_found'))
    return {
      served,
      params: (found?.params ?? {}) as Params,
      envelope: served.endpoint?.api.envelope ?? envelopeAt(path),
    }
  }
}

const refusing = (error: VaultError, endpoint?: Endpoint): Served => ({
  name: 'other',
  endpoint,
  serve(request) {
    request.resume()
    throw error
  },
})

/** How a path that no endpoint has is refused: as its API does. */
function createEnvelopeAt(declared: readonly Endpoint[]): (path: string) => Api['envelope'] {
  const apis = [...new Set(declared.map(({ api }) => api))].sort((a, b) => b.prefix.length - a.prefix.length)
  return (path) => apis.find(({ prefix }) => path.startsWith(`${prefix}/`))?.envelope ?? 'flat'
}

function unexpectedQuery(): VaultError {
  const message = 'This path takes no query parameters. Nothing was sent.'
  return new VaultError('validation_failed', {
    message,
    errors: [{ pointer: 'query:', code: 'unknown_field', message }],
  })
}
