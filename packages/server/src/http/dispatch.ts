import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Endpoint, ErrorCode } from '@alter-vault/contracts'
import { errorRegistry } from '@alter-vault/contracts'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import type { JsonSchema } from '../kernel/json-schema.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { Answer, Download } from './answer.ts'
import type { Authenticated, Authenticator, Presented } from './authenticators.ts'
import type { BoundEndpoint, Call } from './bind-endpoint.ts'
import { sendDownload, sendJson } from './error-response.ts'
import { type Once, Repeated } from './once.ts'
import { MANAGEMENT_BODY_MAX_BYTES, type RequestBody } from './request-body.ts'
import { errorsOf } from './shared-errors.ts'
import { withoutShownOnce } from './shown-once.ts'
import { assertJsonContent, parseStrictJson } from './strict-json.ts'
import { compileBody, compileHeaders, compileParams, compileQuery } from './validate.ts'

export type DispatchDeps = {
  authenticate: Authenticator<unknown>
  /** Answers that break their declaration become faults: for test builds. */
  assertContracts: boolean
}

/** What the listener knows of a request before it is dispatched. */
export type Arrived = {
  request: IncomingMessage
  response: ServerResponse
  requestBody: RequestBody
  params: Readonly<Record<string, string>>
  requestId: string
  clientIp: string
}

const NOTHING = Type.Object({})
const ETAG = /^"(0|[1-9]\d{0,15})"$/
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/

/**
 * Serves one endpoint: authenticate, read, parse, check, hand over, answer. Everything that can be prepared is prepared once, here.
 * The order is an argument: who calls is settled before anything of the body is looked at. Throws refusals and faults.
 */
export function createDispatch(bound: BoundEndpoint, deps: DispatchDeps): (arrived: Arrived) => Promise<void> {
  const { endpoint, handler } = bound
  const style = {
    problem: endpoint.api.envelope === 'problem',
    nullIsAbsent: endpoint.api.nullIsAbsent,
    lenient: endpoint.lenient === true,
  }
  const checkParams = compileParams(endpoint.params ?? NOTHING)
  const checkQuery = compileQuery(endpoint.query ?? NOTHING, style)
  const checkHeaders = compileHeaders(endpoint.headers ?? NOTHING)
  const checkBody = compileBody(endpoint.body ?? NOTHING, style)
  const success = endpoint.success as unknown as JsonSchema
  const successCheck = deps.assertContracts ? Compile(endpoint.success) : undefined
  const mayThrow = new Set<string>(errorsOf(endpoint))
  const needsVersion = endpoint.versioned === true && ['PATCH', 'PUT', 'DELETE'].includes(endpoint.method)

  async function call(
    made: Call<Endpoint>,
  ): Promise<{ status: number; headers: Record<string, string>; body: unknown }> {
    let result: unknown
    try {
      result = await handler(made)
    } catch (error) {
      if (deps.assertContracts && error instanceof VaultError && !mayThrow.has(error.code)) {
        throw new Error(`${endpoint.id} refused with "${error.code}", which it does not declare`, { cause: error })
      }
      throw error
    }
    if (result instanceof Download) return { status: 200, headers: {}, body: result }
    const answered = result instanceof Answer ? result : undefined
    const body = answered === undefined ? result : answered.body
    if (successCheck !== undefined && body !== undefined && !successCheck.Check(JSON.parse(JSON.stringify(body)))) {
      const [fault] = successCheck.Errors(JSON.parse(JSON.stringify(body)))
      throw new Error(
        `${endpoint.id} answered with another form than it declares: ${fault?.instancePath} ${fault?.message}`,
      )
    }
    return { status: answered?.status ?? endpoint.status ?? 200, headers: { ...answered?.headers }, body }
  }

  /** `target` and `rawBody` must be the same in a repeat. */
  function onceOf(
    key: string | string[] | undefined,
    { target, rawBody }: { target: string; rawBody: Buffer },
    repeats: Authenticated['repeats'],
  ): Once | undefined {
    if (endpoint.repeatable !== true || key === undefined || repeats === undefined) return undefined
    if (typeof key !== 'string' || !IDEMPOTENCY_KEY.test(key)) throw badIdempotencyKey()
    return {
      scopeId: repeats.scopeId,
      // A key means nothing to another member or for another endpoint.
      operation: `${endpoint.id}:${repeats.by}`,
      key,
      digest: createHash('sha256').update(`${target}\n`).update(rawBody).digest(),
      status: endpoint.status ?? 200,
      kept: (body) => withoutShownOnce(success, body),
    }
  }

  return async ({ request, response, requestBody, params: rawParams, requestId, clientIp }) => {
    const target = request.url ?? '/'
    const presented: Presented = {
      method: request.method ?? endpoint.method,
      target,
      headers: request.headers,
      readBody: (caller) => requestBody.read(MANAGEMENT_BODY_MAX_BYTES, caller),
      params: rawParams,
      clientIp,
      requestId,
    }
    const { principal, answerHeaders = {}, repeats } = await deps.authenticate(presented, endpoint.access.needs)
    for (const [name, value] of Object.entries(answerHeaders)) response.setHeader(name, value)
    const rawBody = await presented.readBody(repeats?.by)

    const checked = checkParams(rawParams)
    if ('wrong' in checked) throw notFound(endpoint, checked.wrong)
    const question = target.indexOf('?')
    const query = checkQuery(new URLSearchParams(question < 0 ? '' : target.slice(question + 1)))
    const headers = checkHeaders(request.headers)
    const body = checkBody(rawBody.length === 0 ? {} : parseBody(request, rawBody))
    const expectedVersion = needsVersion ? versionFrom(request.headers['if-match']) : null

    const gone = new AbortController()
    response.once('close', () => {
      if (!response.writableFinished) gone.abort()
    })
    const made = {
      params: checked.params,
      query,
      headers,
      body,
      expectedVersion,
      requestId,
      principal,
      clientIp,
      signal: gone.signal,
    } as unknown as Call<Endpoint>

    const once = onceOf(request.headers['idempotency-key'], { target, rawBody }, repeats)
    try {
      const answered = await call({ ...made, once })
      if (answered.body instanceof Download) {
        await sendDownload(response, answered.body.file, { requestId, method: request.method })
      } else {
        send(answered.status, answered.body, answered.headers)
      }
    } catch (error) {
      if (!(error instanceof Repeated)) throw error
      send(error.status, error.body, { 'Idempotent-Replayed': 'true' })
    }

    function send(status: number, answerBody: unknown, own: Record<string, string>): void {
      const tag = endpoint.versioned === true ? etagOf(answerBody) : undefined
      sendJson(response, status, answerBody, requestId, tag === undefined ? own : { ETag: tag, ...own })
    }
  }
}

function parseBody(request: IncomingMessage, rawBody: Buffer): unknown {
  assertJsonContent(request.headers)
  return parseStrictJson(rawBody)
}

/** The refusal for an id that cannot exist is the one for an id that does not: nothing is learned from its form. */
function notFound(endpoint: Endpoint, parameter: string): VaultError {
  const code = parameter.replace(/_id$/, '_not_found')
  return new VaultError(
    (endpoint.errors as readonly string[]).includes(code) && code in errorRegistry ? (code as ErrorCode) : 'not_found',
  )
}

/** RFC 9110, 13.1.1. Weak tags and lists name no single version, so they match none. */
function versionFrom(ifMatch: string | undefined): number {
  if (ifMatch === undefined) throw new VaultError('precondition_required')
  const version = ETAG.exec(ifMatch.trim())?.[1]
  if (version === undefined) {
    throw new VaultError('version_conflict', {
      message: '"If-Match" must be one version in quotes, such as "3", as "ETag" gave it. Nothing was changed.',
    })
  }
  return Number(version)
}

function etagOf(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null || !('version' in body)) return undefined
  return Number.isSafeInteger(body.version) ? `"${body.version}"` : undefined
}

function badIdempotencyKey(): VaultError {
  const message = '"Idempotency-Key" must have 1 to 255 visible ASCII characters. Nothing was done.'
  return new VaultError('validation_failed', {
    message,
    errors: [{ pointer: 'header:idempotency-key', code: 'invalid_format', message }],
  })
}
