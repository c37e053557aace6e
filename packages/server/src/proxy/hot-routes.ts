import type { IncomingMessage } from 'node:http'
import {
  ProxyRequestBody,
  proxyRequest as proxyEndpoint,
  TokenRequestBody,
  retrieveToken as tokenEndpoint,
} from '@alter-vault/contracts'
import type Type from 'typebox'
import type { Presented } from '../http/authenticators.ts'
import { sendJson, sendText } from '../http/error-response.ts'
import type { RawHandler } from '../http/listener.ts'
import { PROXY_BODY_MAX_BYTES, readBody } from '../http/read-body.ts'
import { assertJsonContent, parseStrictJson } from '../http/strict-json.ts'
import { compileBody } from '../http/validate.ts'
import { withNumbersAsWritten } from './outgoing-body.ts'
import type { Identity, ProxyRequest } from './proxy-request.ts'
import type { RetrieveToken } from './retrieve-token.ts'

const STYLE = { problem: false, nullIsAbsent: true }

/** The two routes that use a credential, served without the router (docs/decisions/0004-bare-hot-routes.md). */
export function createHotRoutes(deps: {
  proxyRequest: ProxyRequest
  retrieveToken: RetrieveToken
}): ReadonlyMap<string, RawHandler> {
  const proxyBody = compileBody(ProxyRequestBody, STYLE)
  const tokenBody = compileBody(TokenRequestBody, STYLE)

  const proxy: RawHandler = async (request, response, context) => {
    const incoming = await arrive(request, context, (value, text) => {
      const body = proxyBody(value)
      // Checked above as plain numbers; sent as they were written.
      return body.body === undefined
        ? body
        : { ...body, body: (withNumbersAsWritten(value, text) as { body: unknown }).body }
    })
    const outgoing = await deps.proxyRequest(incoming)
    const headers = aboutHeaders(outgoing.about)
    if (outgoing.kind === 'answered')
      sendText(response, 200, JSON.stringify(outgoing.result), context.requestId, { ...JSON_TYPE, ...headers })
    else if (outgoing.kind === 'held') sendJson(response, 202, outgoing.pending, context.requestId, headers)
    else sendJson(response, 200, outgoing.record, context.requestId, headers)
  }

  const token: RawHandler = async (request, response, context) => {
    const incoming = await arrive(request, context, (value) => tokenBody(value))
    const { token, about } = await deps.retrieveToken(incoming)
    sendJson(response, 200, token, context.requestId, aboutHeaders(about))
  }

  return new Map([
    [`${proxyEndpoint.method} ${proxyEndpoint.path}`, proxy],
    [`${tokenEndpoint.method} ${tokenEndpoint.path}`, token],
  ])
}

const JSON_TYPE = { 'Content-Type': 'application/json; charset=utf-8' }

async function arrive<Body extends Type.Static<typeof ProxyRequestBody> | Type.Static<typeof TokenRequestBody>>(
  request: IncomingMessage,
  context: Parameters<RawHandler>[2],
  check: (value: unknown, text: string) => Body,
): Promise<{ presented: Presented; body: () => Body }> {
  const rawBody = await readBody(request, PROXY_BODY_MAX_BYTES)
  const presented: Presented = {
    method: context.method,
    target: request.url ?? context.path,
    headers: request.headers,
    rawBody,
    params: {},
    clientIp: context.clientIp,
    requestId: context.requestId,
  }
  let body: Body | undefined
  return {
    presented,
    body() {
      if (body === undefined) {
        assertJsonContent(request.headers)
        body = check(parseStrictJson(rawBody), rawBody.toString('utf8'))
      }
      return body
    },
  }
}

/** What the clients read from every answer (wire.md 3.4, 3.5). */
export function aboutHeaders({ actorId, deprecatedKey, rate }: Identity): Record<string, string> {
  return {
    ...(actorId === null ? {} : { 'X-Alter-Actor-ID': actorId }),
    ...(deprecatedKey ? { 'X-Alter-Key-Deprecated': 'true' } : {}),
    ...(rate === null
      ? {}
      : {
          'X-RateLimit-Limit': String(rate.limit),
          'X-RateLimit-Remaining': String(rate.remaining),
          'X-RateLimit-Reset': String(rate.resetSeconds),
        }),
  }
}
