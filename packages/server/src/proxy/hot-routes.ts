import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  ProxyRequestBody,
  proxyRequest as proxyEndpoint,
  TokenRequestBody,
  retrieveToken as tokenEndpoint,
} from '@alter-vault/contracts'
import type Type from 'typebox'
import type { Presented } from '../http/authenticators.ts'
import { sendJson } from '../http/error-response.ts'
import type { RawHandler } from '../http/listener.ts'
import { PROXY_BODY_MAX_BYTES, readBody } from '../http/read-body.ts'
import { assertJsonContent, parseStrictJson } from '../http/strict-json.ts'
import { compileBody } from '../http/validate.ts'
import { createTurn, type Turn } from '../kernel/turn.ts'
import { withNumbersAsWritten } from './outgoing-body.ts'
import type { Incoming, ProxyRequest } from './proxy-request.ts'
import type { RetrieveToken } from './retrieve-token.ts'

const STYLE = { problem: false, nullIsAbsent: true }

/** The two routes that use a credential, served without the router (docs/decisions/0004-bare-hot-routes.md). */
export function createHotRoutes(deps: {
  proxyRequest: ProxyRequest
  retrieveToken: RetrieveToken
}): ReadonlyMap<string, RawHandler> {
  const proxyBody = compileBody(ProxyRequestBody, STYLE)
  const tokenBody = compileBody(TokenRequestBody, STYLE)
  const turn = createTurn()

  const proxy: RawHandler = async (request, response, context) => {
    const incoming = await arrive(turn, request, response, context, (value, bytes) => {
      const body = proxyBody(value)
      // Checked above as plain numbers; sent as they were written.
      return body.body === undefined
        ? body
        : {
            ...body,
            body: (withNumbersAsWritten(value, bytes.toString('utf8')) as { body: unknown }).body,
          }
    })
    const outgoing = await deps.proxyRequest(incoming)
    if (outgoing.kind === 'answered') sendJson(response, 200, outgoing.result, context.requestId)
    else if (outgoing.kind === 'held') sendJson(response, 202, outgoing.pending, context.requestId)
    else sendJson(response, 200, outgoing.record, context.requestId)
  }

  const token: RawHandler = async (request, response, context) => {
    const incoming = await arrive(turn, request, response, context, (value) => tokenBody(value))
    const { token } = await deps.retrieveToken(incoming)
    sendJson(response, 200, token, context.requestId)
  }

  return new Map([
    [`${proxyEndpoint.method} ${proxyEndpoint.path}`, proxy],
    [`${tokenEndpoint.method} ${tokenEndpoint.path}`, token],
  ])
}

async function arrive<Body extends Type.Static<typeof ProxyRequestBody> | Type.Static<typeof TokenRequestBody>>(
  turn: Turn,
  request: IncomingMessage,
  response: ServerResponse,
  context: Parameters<RawHandler>[2],
  check: (value: unknown, bytes: Buffer) => Body,
): Promise<Incoming<Body>> {
  const rawBody = await readBody(request, PROXY_BODY_MAX_BYTES)
  await turn()
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
        body = check(parseStrictJson(rawBody), rawBody)
      }
      return body
    },
    onCaller({ answerHeaders }) {
      for (const [name, value] of Object.entries(answerHeaders)) response.setHeader(name, value)
    },
  }
}
