import Type from 'typebox'
import { everybody } from './access.ts'
import { managementApi, statusApi } from './api.ts'
import { noAudit } from './endpoint.ts'
import { JsonObject } from './primitives.ts'

const ANONYMOUS = 'shows nothing of any app, organization or person'

/** Liveness: the process serves requests. It looks at nothing else, so that a database that is away restarts nobody. */
export const readHealth = statusApi.defineEndpoint({
  id: 'read_health',
  method: 'GET',
  path: '/healthz',
  summary: 'Say that the process is alive',
  tag: 'server',
  access: everybody(),
  success: Type.Object({ status: Type.Literal('ok') }),
  audit: noAudit(ANONYMOUS),
})

/** Readiness: every check passed. Otherwise 503 `service_unavailable` with the failed ones in `checks`. */
export const readReadiness = statusApi.defineEndpoint({
  id: 'read_readiness',
  method: 'GET',
  path: '/readyz',
  summary: 'Say whether requests can be served now',
  tag: 'server',
  access: everybody(),
  success: Type.Object({
    status: Type.Literal('ready'),
    checks: Type.Array(Type.Object({ name: Type.String(), ok: Type.Boolean() })),
  }),
  audit: noAudit(ANONYMOUS),
})

/** The OpenAPI 3.1 description of both APIs, made from the same declarations that the server checks requests with. */
export const readApiDescription = managementApi.defineEndpoint({
  id: 'read_api_description',
  method: 'GET',
  path: '/api/v1/openapi.json',
  summary: 'Read the description of both APIs',
  tag: 'server',
  access: everybody(),
  success: JsonObject,
  audit: noAudit(ANONYMOUS),
})
