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
import { PROXY_BODY_MAX_BYTES } from '../http/request-body.ts'
import type { RawHandler } from '../http/routes.ts'
import { assertJsonContent, parseStrictJson, parseStrictJsonInTurns } from '../http/strict-json.ts'
import { compileBody } from '../http/validate.ts'
import type { ByteBudget } from '../kernel/byte-budget.ts'
import { createTurn, type Turn } from '../kernel/turn.ts'
import { assertRoom, createAnswerRoom } from './answer-room.ts'
import { bodyAsWritten } from './outgoing-body.ts'
import type { Incoming } from './presented-use.ts'
import type { ProxyUse } from './proxy-use.ts'
import { LONG_BODY_BYTES, type RunUse } from './run-use.ts'
import type { TokenUse } from './token-use.ts'

const STYLE = { problem: false, nullIsAbsent: true }

/** The two routes that use a credential, on the bare request (docs/decisions/0015-bare-http.md). */
export function createHotRoutes(deps: {
  runUse: RunUse
  proxyUse: ProxyUse
  tokenUse: TokenUse
  answers: ByteBudget
}): ReadonlyMap<string, RawHandler> {
  const proxyBody = compileBody(ProxyRequestBody, STYLE)
  const tokenBody = compileBody(TokenRequestBody, STYLE)
  const shared = { turn: createTurn(), answers: deps.answers }

  const proxy: RawHandler = (request, response, context) => {
    const check = (value: unknown, bytes: Buffer) => {
      const body = proxyBody(value)
      // Checked above as plain numbers; sent as they were written.
      return body.body === undefined ? body : { ...body, body: bodyAsWritten(body.body, bytes.toString('utf8')) }
    }
    return serve(shared, request, response, context, check, async (incoming) => {
      const outgoing = await deps.runUse(deps.proxyUse, incoming)
      if (outgoing.kind === 'answered') return { status: 200, body: outgoing.result }
      if (outgoing.kind === 'held') return { status: 202, body: outgoing.pending }
      return { status: 200, body: outgoing.record }
    })
  }

  const token: RawHandler = (request, response, context) =>
    serve(shared, request, response, context, tokenBody, async (incoming) => {
      const { token } = await deps.runUse(deps.tokenUse, incoming)
      return { status: 200, body: token }
    })

  return new Map([
    [`${proxyEndpoint.method} ${proxyEndpoint.path}`, proxy],
    [`${tokenEndpoint.method} ${tokenEndpoint.path}`, token],
  ])
}

async function serve<Body extends Type.Static<typeof ProxyRequestBody> | Type.Static<typeof TokenRequestBody>>(
  { turn, answers }: { turn: Turn; answers: ByteBudget },
  request: IncomingMessage,
  response: ServerResponse,
  context: Parameters<RawHandler>[2],
  check: (value: unknown, bytes: Buffer) => Body,
  use: (incoming: Incoming<Body>) => Promise<{ status: number; body: unknown }>,
): Promise<void> {
  let ofCaller: Readonly<Record<string, string>> = {}
  const room = createAnswerRoom(answers)
  try {
    let rawBody: Buffer
    const presented: Presented = {
      method: context.method,
      target: request.url ?? context.path,
      headers: request.headers,
      async readBody(caller) {
        if (caller !== undefined) assertRoom(answers, caller)
        rawBody = await context.requestBody.read(PROXY_BODY_MAX_BYTES, caller)
        await turn()
        return rawBody
      },
      params: {},
      clientIp: context.clientIp,
      requestId: context.requestId,
    }
    let body: Body | undefined
    const readLong = async () => {
      // The hash of these bytes has just been made.
      await turn()
      body = check(await parseStrictJsonInTurns(rawBody, turn), rawBody)
      await turn()
      return body
    }
    const { status, body: answer } = await use({
      presented,
      room,
      body() {
        if (body === undefined) {
          assertJsonContent(request.headers)
          if (rawBody.length > LONG_BODY_BYTES) return readLong()
          body = check(parseStrictJson(rawBody), rawBody)
        }
        return body
      },
      onCaller({ answerHeaders }) {
        ofCaller = answerHeaders
      },
    })
    response.once('close', room.release)
    sendJson(response, status, answer, context.requestId, ofCaller)
    if (response.closed) room.release()
  } catch (error) {
    room.release()
    // A refusal carries them too. An answer takes them with its head, which costs less than setting one by one.
    if (!response.headersSent) response.setHeaders(new Map(Object.entries(ofCaller)))
    throw error
  }
}
