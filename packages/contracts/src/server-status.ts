import Type from 'typebox'
import { everybody } from './access.ts'
import { managementApi, statusApi } from './api.ts'
import { noAudit } from './endpoint.ts'
import { JsonObject } from './primitives.ts'

const reads = {
  method: 'GET',
  tag: 'server',
  access: everybody(),
  audit: noAudit('shows nothing of any app, organization or person'),
} as const

/** Liveness: the process serves requests. It looks at nothing else, so that a database that is away restarts nobody. */
export const readHealth = statusApi.defineEndpoint({
  ...reads,
  id: 'read_health',
  path: '/healthz',
  summary: 'Say that the process is alive',
  success: Type.Object({ status: Type.Literal('ok') }),
})

/** Readiness: every check passed. Otherwise 503 `service_unavailable` with the failed ones in `checks`. */
export const readReadiness = statusApi.defineEndpoint({
  ...reads,
  id: 'read_readiness',
  path: '/readyz',
  summary: 'Say whether requests can be served now',
  success: Type.Object({
    status: Type.Literal('ready'),
    checks: Type.Array(Type.Object({ name: Type.String(), ok: Type.Boolean() })),
  }),
})

/** The OpenAPI 3.1 description of both APIs, made from the same declarations that the server checks requests with. */
export const readApiDescription = managementApi.defineEndpoint({
  ...reads,
  id: 'read_api_description',
  path: '/api/v1/openapi.json',
  summary: 'Read the description of both APIs',
  success: JsonObject,
})
