import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createFrozenRuntime } from '../test/frozen-runtime.ts'
import { type RecordingVault, type Reply, startRecordingVault } from '../test/recording-vault.ts'
import { expectedSignature } from '../test/signature-check.ts'
import { Agent } from './agent.ts'
import { App } from './app.ts'
import * as errors from './generated/errors.ts'
import { ApprovalResult, PendingApproval } from './generated/models.ts'
import type { ProxyRequestOptions } from './proxy-call.ts'

const KEY = 'alter_rk_abcdefghijklmnopqrstuv_iwpykn'
const GRANT_ID = '00000000-0000-4000-8000-000000000010'
const APPROVAL_ID = '00000000-0000-4000-8000-000000000020'
const GROUP_ID = '00000000-0000-4000-8000-000000000021'
const STATUS_PATH = `/sdk/approvals/${APPROVAL_ID}`
const RESULT_PATH = `${STATUS_PATH}/result`

const RESULT = { status_code: 200, body_b64: Buffer.from('{"ok":"é"}').toString('base64'), headers: { 'x-a': '1' } }
const PENDING = {
  approval_id: APPROVAL_ID,
  approval_group_id: GROUP_ID,
  status: 'pending',
  expires_at: '2026-01-01T01:00:00+00:00',
  expires_in: 3_600,
  approval_url: 'https://vault.example/wallet/approvals/x#t=y',
  gates: [
    {
      approval_id: APPROVAL_ID,
      expires_at: '2026-01-01T01:00:00+00:00',
      expires_in: 3_600,
      approval_url: 'https://vault.example/wallet/approvals/x#t=y',
    },
  ],
}
const STATUS = {
  approval_id: APPROVAL_ID,
  approval_group_id: GROUP_ID,
  status: 'pending',
  gates: [{ approval_id: APPROVAL_ID, status: 'pending', expires_at: '2026-01-01T01:00:00Z' }],
  expires_at: '2026-01-01T01:00:00Z',
  has_result: false,
}

let vault: RecordingVault
let runtime: ReturnType<typeof createFrozenRuntime>
let app: App

beforeEach(async () => {
  vault = await startRecordingVault()
  runtime = createFrozenRuntime({ instantDelays: (ms) => ms <= 2_000 })
  app = new App({ apiKey: KEY, baseUrl: vault.url, runtime })
  vault.answer('/sdk/proxy', { json: RESULT })
})
afterEach(() => vault[Symbol.asyncDispose]())

function call(options: Partial<ProxyRequestOptions> = {}, method = 'POST') {
  return app.proxyRequest(method, 'https://api.example.com/v1', { grantId: GRANT_ID, ...options })
}

describe('a proxied call', () => {
  test('sends what is set, in the order of the protocol, user keys untouched', async () => {
    await app.proxyRequest('post', 'https://api.example.com/{id}?x={id}', {
      provider: 'stripe',
      account: 'a@x',
      label: 'work',
      userToken: 'jwt',
      appUserId: 'u',
      json: { userKey: { grantId: 1 }, when: [1.5, 'é'] },
      headers: { 'X-Custom': 'a' },
      queryParams: { pageSize: 2, list: ['a', true] },
      pathParams: { id: 'a/b c' },
      reason: 'because',
      context: { ticket: '1' },
    })
    const [request] = vault.requests
    expect(request!.body).toBe(
      '{"method":"POST","url":"https://api.example.com/a%2Fb%20c?x=a%2Fb%20c","provider_id":"stripe","account":"a@x","label":"work","user_token":"jwt","app_user_id":"u","body":{"userKey":{"grantId":1},"when":[1.5,"é"]},"headers":{"X-Custom":"a"},"query_params":{"pageSize":2,"list":["a",true]},"reason":"because"}',
    )
    expect(request!.headers['x-alter-context']).toBe('{"ticket":"1"}')
    expect(request!.headers['x-alter-signature']).toBe(expectedSignature(request!, KEY))
  })

  test('reproduces the published signature with every signed header', async () => {
    vault.answer('/sdk/proxy', {
      json: RESULT,
      headers: { 'X-Alter-Actor-ID': '00000000-0000-4000-8000-000000000016' },
    })
    const client = new App({
      apiKey: KEY,
      baseUrl: vault.url,
      runtime,
      caller: 'billing-cron',
      constraints: { scopes: ['proxy:execute'], rule: { ruleType: 'json_match', ruleBody: {} } },
    })
    const send = () =>
      client.proxyRequest('GET', 'https://api.example.com/', { grantId: GRANT_ID, context: { ticket: '1' } })
    await send()
    await send()
    const second = vault.requests[1]!
    expect(second.body).toBe(`{"method":"GET","url":"https://api.example.com/","grant_id":"${GRANT_ID}"}`)
    expect(second.headers).toMatchObject({
      'x-alter-content-sha256': '3a89be1ac6bab133c24198550eb2aae62e084fb759ca270ff8c5e1aa87292ffd',
      'x-alter-scope-constraints': 'proxy:execute',
      'x-alter-caller': 'billing-cron',
      'x-alter-caller-type': 'service',
      'x-alter-actor-id': '00000000-0000-4000-8000-000000000016',
      'x-alter-context': '{"ticket":"1"}',
      'x-alter-signature': expectedSignature(second, KEY),
      'x-alter-signature-v2': expectedSignature(second, KEY),
    })
  })

  test.each([false, 0, '', []])('sends the body %j', async (json) => {
    await call({ json })
    expect(JSON.parse(vault.requests[0]!.body).body).toEqual(json)
  })

  test('leaves URL and method to the vault', async () => {
    await app.proxyRequest('brew', 'not a url', { grantId: GRANT_ID })
    expect(JSON.parse(vault.requests[0]!.body)).toMatchObject({ method: 'BREW', url: 'not a url' })
  })

  test.each([
    [{ json: null }, 'null'],
    [{ json: [Number.NaN] }, 'NaN'],
    [{ headers: { Authorization: 'x' } }, '"Authorization"'],
    [{ headers: { COOKIE: 'x' } }, '"COOKIE"'],
    [{ headers: { 'x-amz-date': 'x' } }, '"x-amz-date"'],
    [{ headers: { 'X-Stripe-Account': 'x' } }, '"X-Stripe-Account"'],
    [{ headers: { 'X-HTTP-Method': 'x' } }, '"X-HTTP-Method"'],
    [{ headers: { 'a:b': 'x' } }, 'header name'],
    [{ account: 'x' }, '"account"'],
    [{ provider: 'slack' }, 'exactly one'],
  ])('refuses %j', async (options, text) => {
    await expect(call(options)).rejects.toThrow(text)
    await expect(call(options)).rejects.toThrow(errors.AlterValueError)
    expect(vault.requests).toEqual([])
  })

  test.each(['', 'https://api.example.com/{id}'])('refuses the URL %j', async (url) => {
    await expect(app.proxyRequest('GET', url, { grantId: GRANT_ID })).rejects.toThrow(errors.AlterValueError)
  })
})

describe('the answer to a proxied call', () => {
  test('of 200 is the result, whatever the provider said', async () => {
    vault.answer('/sdk/proxy', {
      json: { ...RESULT, status_code: 404, credential_hint: '  ', duration_ms: 12, more: 1 },
    })
    const result = (await call()) as ApprovalResult
    expect(result).toBeInstanceOf(ApprovalResult)
    expect(result).toMatchObject({
      approvalId: null,
      statusCode: 404,
      headers: { 'x-a': '1' },
      bodyTruncated: false,
      durationMs: 12,
      credentialHint: null,
    })
    expect(result.bodyJson()).toEqual({ ok: 'é' })
    expect(result.bodyText()).toBe('{"ok":"é"}')
    expect(result.bodyText('latin1')).toBe('{"ok":"Ã©"}')
    expect(Buffer.from(result.bodyBytes()).toString('base64')).toBe(RESULT.body_b64)
  })

  test('of 202 is what to wait for', async () => {
    vault.answer('/sdk/proxy', { status: 202, json: PENDING })
    const pending = (await call()) as PendingApproval
    expect(pending).toBeInstanceOf(PendingApproval)
    expect(pending).toMatchObject({
      approvalId: APPROVAL_ID,
      approvalGroupId: GROUP_ID,
      status: 'pending',
      expiresIn: 3_600,
      approvalUrl: PENDING.approval_url,
      gates: [{ approvalId: APPROVAL_ID, approvalUrl: PENDING.approval_url }],
    })
    expect(JSON.parse(JSON.stringify(pending))).toEqual(PENDING)
  })

  test.each<[string, Reply]>([
    ['201', { status: 201, json: RESULT }],
    ['204', { status: 204 }],
    ['302', { status: 302 }],
    ['200 without JSON', { status: 200, body: 'ok' }],
    ['200 without a status', { json: { ...RESULT, status_code: undefined } }],
    ['200 with a status in words', { json: { ...RESULT, status_code: '200' } }],
    ['200 without a body', { json: { ...RESULT, body_b64: undefined } }],
    ['200 with base64 of URLs', { json: { ...RESULT, body_b64: '-_-_' } }],
    ['200 with base64 without padding', { json: { ...RESULT, body_b64: 'YQ' } }],
    ['200 with base64 on two lines', { json: { ...RESULT, body_b64: 'YWFh\nYWFh' } }],
    ['200 with a list of headers', { json: { ...RESULT, headers: { a: ['b'] } } }],
    ['200 with null for truncated', { json: { ...RESULT, body_truncated: null } }],
    ['200 with a pending approval', { status: 200, json: PENDING }],
    ['202 with a result', { status: 202, json: RESULT }],
    ['202 without gates', { status: 202, json: { ...PENDING, gates: [] } }],
    [
      '202 with a gate without a link',
      { status: 202, json: { ...PENDING, gates: [{ ...PENDING.gates[0], approval_url: '' }] } },
    ],
    ['202 with another status', { status: 202, json: { ...PENDING, status: 'approved' } }],
    ['202 with a bad id', { status: 202, json: { ...PENDING, approval_id: 'x' } }],
    ['202 with a bad time', { status: 202, json: { ...PENDING, expires_at: 'soon' } }],
    ['202 with a fraction of seconds', { status: 202, json: { ...PENDING, expires_in: 0.5 } }],
  ])('of %s is an error', async (_name, reply) => {
    vault.answer('/sdk/proxy', reply)
    const error = await call().catch((caught) => caught)
    expect(error.constructor).toBe(errors.BackendError)
    expect(error.statusCode).toBe(reply.status ?? 200)
  })

  test('of an empty body is empty', async () => {
    vault.answer('/sdk/proxy', { json: { status_code: 204, body_b64: '' } })
    const result = (await call()) as ApprovalResult
    expect(result.bodyBytes()).toHaveLength(0)
    expect(result.headers).toEqual({})
    expect(() => result.bodyJson()).toThrow(SyntaxError)
  })

  test('of a refusal is its error, for an agent with what is missing', async () => {
    vault.answer('/sdk/proxy', { status: 404, json: { error: 'grant_not_found', message: 'x' } })
    expect((await call().catch((caught) => caught)).constructor).toBe(errors.GrantNotFoundError)
    const agent = new Agent({ apiKey: KEY, baseUrl: vault.url, runtime })
    const error = await agent
      .proxyRequest('GET', 'https://api.example.com', { provider: 'x' })
      .catch((caught) => caught)
    expect(error.constructor).toBe(errors.AgentDelegationMissingError)
    vault.answer('/sdk/proxy', { status: 409, json: { error: 'no_eligible_grants', message: 'x' } })
    await expect(call()).rejects.toThrow(errors.ConnectConfigError)
  })
})

describe('asking how an approval stands', () => {
  test('asks once, without the actor', async () => {
    vault.answer('/sdk/scopes', {
      json: { scope_version: 1, resources: {}, action_verbs: [] },
      headers: { 'X-Alter-Actor-ID': GROUP_ID },
    })
    vault.answer(STATUS_PATH, { json: STATUS })
    const client = new App({ apiKey: KEY, baseUrl: vault.url, runtime, caller: 'cron' })
    await client.scopes.list()
    const status = await client.getApprovalStatus(APPROVAL_ID)
    expect(status).toMatchObject({ status: 'pending', isTerminal: false, hasResult: false, decidedAt: null })
    const request = vault.requests[1]!
    expect(request.target).toBe(STATUS_PATH)
    expect(request.headers['x-alter-caller']).toBe('cron')
    expect(request.headers).not.toHaveProperty('x-alter-actor-id')
    expect(runtime.delays.at(-1)).toBe(30_000)
  })

  test.each([
    [7.9, '?wait=7', 22_000],
    [0.5, '', 30_000],
    [25, '?wait=25', 40_000],
  ])('with a wait of %d s asks %j and allows %d ms', async (waitSeconds, query, timeoutMs) => {
    vault.answer(STATUS_PATH, { json: STATUS })
    await app.getApprovalStatus(APPROVAL_ID, { waitSeconds })
    expect(vault.requests[0]!.target).toBe(`${STATUS_PATH}${query}`)
    expect(vault.requests[0]!.headers['x-alter-signature']).toBe(expectedSignature(vault.requests[0]!, KEY))
    expect(runtime.delays.at(-1)).toBe(timeoutMs)
  })

  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuses a wait of %d', async (waitSeconds) => {
    await expect(app.getApprovalStatus(APPROVAL_ID, { waitSeconds })).rejects.toThrow(errors.AlterValueError)
  })

  test.each(['', '..'])('refuses the id %j', async (id) => {
    await expect(app.getApprovalStatus(id)).rejects.toThrow(errors.AlterValueError)
    expect(vault.requests).toEqual([])
  })

  test.each(['denied', 'expired', 'executed', 'failed'])('%s is final', async (status) => {
    vault.answer(STATUS_PATH, { json: { ...STATUS, status } })
    expect((await app.getApprovalStatus(APPROVAL_ID)).isTerminal).toBe(true)
  })

  test.each<Reply>([
    { json: { ...STATUS, status: 'undecided' } },
    { json: { ...STATUS, gates: [] } },
    { json: { ...STATUS, has_result: undefined } },
    { status: 201, json: STATUS },
    { status: 404, json: { error: 'approval_not_found' } },
    { status: 401, json: { error: 'invalid_key' } },
    { status: 429, json: { error: 'rate_limit_exceeded' } },
  ])('fails as a backend error for %j', async (reply) => {
    vault.answer(STATUS_PATH, reply)
    const error = await app.getApprovalStatus(APPROVAL_ID).catch((caught) => caught)
    expect(error.constructor).toBe(errors.BackendError)
  })
})

describe('waiting for an approval', () => {
  const status = (fields: Partial<Record<keyof typeof STATUS | string, unknown>>): Reply => ({
    json: { ...STATUS, ...fields },
  })
  const executed = status({ status: 'executed', has_result: true })

  test('asks until the result is there', async () => {
    vault.answer(
      STATUS_PATH,
      status({}),
      status({ status: 'approved' }),
      status({ status: 'executing' }),
      status({ status: 'executed', has_result: false }),
      executed,
    )
    vault.answer(RESULT_PATH, { json: RESULT })
    const result = await app.awaitApproval(APPROVAL_ID)
    expect(result).toMatchObject({ approvalId: APPROVAL_ID, statusCode: 200 })
    expect(vault.to(STATUS_PATH).map((request) => request.target.slice(STATUS_PATH.length))).toEqual([
      ...Array.from({ length: 5 }, () => '?wait=25'),
      '/result',
    ])
    expect(runtime.delays.filter((ms) => ms === 2_000)).toHaveLength(4)
    expect(runtime.monotonicMs()).toBe(8_000)
  })

  test('allows each long poll its wait and 15 s', async () => {
    vault.answer(STATUS_PATH, executed)
    vault.answer(RESULT_PATH, { json: RESULT })
    await app.awaitApproval(APPROVAL_ID)
    expect(runtime.delays).toEqual([40_000, 30_000])
  })

  test('asks again after a broken connection, 502, 503 and 504, for status and result', async () => {
    vault.answer(
      STATUS_PATH,
      { hangUp: true },
      { status: 502 },
      { status: 503, json: {} },
      { status: 504, json: {} },
      executed,
    )
    vault.answer(
      RESULT_PATH,
      { status: 503, json: { error: 'service_unavailable' } },
      { hangUp: true },
      { json: RESULT },
    )
    expect(await app.awaitApproval(APPROVAL_ID, { pollIntervalMs: 500 })).toBeInstanceOf(ApprovalResult)
    expect(runtime.delays.filter((ms) => ms === 500)).toHaveLength(6)
  })

  test.each<[Reply, string]>([
    [{ status: 429, json: { error: 'rate_limit_exceeded' } }, 'BackendError'],
    [{ status: 500, json: {} }, 'BackendError'],
    [{ status: 404, json: { error: 'approval_not_found' } }, 'BackendError'],
    [{ json: { ...STATUS, status: 'undecided' } }, 'BackendError'],
  ])('ends at %j', async (reply, name) => {
    vault.answer(STATUS_PATH, reply)
    await expect(app.awaitApproval(APPROVAL_ID)).rejects.toMatchObject({ name })
    expect(vault.requests).toHaveLength(1)
  })

  test.each<[Reply, string]>([
    [{ status: 409, json: { error: 'approval_execution_failed', message: 'x' } }, 'ApprovalExecutionFailedError'],
    [{ status: 410, json: { error: 'approval_expired', message: 'x' } }, 'ApprovalExpiredError'],
    [{ status: 409, json: { error: 'approval_denied', message: 'x' } }, 'ApprovalDeniedError'],
    [{ status: 409, json: { error: 'approval_result_expired', message: 'x' } }, 'BackendError'],
    [{ status: 429, json: { error: 'rate_limit_exceeded' } }, 'RateLimitError'],
    [{ status: 404, json: { error: 'approval_not_found' } }, 'GrantNotFoundError'],
  ])('ends when the result is refused with %j', async (reply, name) => {
    vault.answer(STATUS_PATH, executed)
    vault.answer(RESULT_PATH, reply)
    await expect(app.awaitApproval(APPROVAL_ID)).rejects.toMatchObject({ name })
    expect(vault.to(RESULT_PATH)).toHaveLength(1)
  })

  test.each([
    [{ status: 'denied', decision_reason: 'Too much' }, 'ApprovalDeniedError', 'Too much'],
    [{ status: 'denied' }, 'ApprovalDeniedError', 'The request was denied'],
    [{ status: 'expired' }, 'ApprovalExpiredError', 'Nobody decided before the approval window closed'],
    [
      { status: 'failed', execution_error: 'grant_revoked', decision_reason: 'ok' },
      'ApprovalExecutionFailedError',
      'grant_revoked',
    ],
    [{ status: 'failed', decision_reason: 'cancelled' }, 'ApprovalExecutionFailedError', 'cancelled'],
  ])('ends with %j as %s', async (fields, name, message) => {
    vault.answer(STATUS_PATH, status(fields))
    const error = await app.awaitApproval(APPROVAL_ID).catch((caught) => caught)
    expect(error).toMatchObject({ name, message, approvalId: APPROVAL_ID, details: fields })
  })

  test('ends when its time is over, with ever shorter waits', async () => {
    vault.answer(STATUS_PATH, status({}))
    // The last question may take 1 s and is answered; the pause after it lasts 1 s as well and is the one that passes.
    let seconds = 0
    runtime = createFrozenRuntime({ instantDelays: (ms) => ms === 2_000 || (ms === 1_000 && ++seconds === 2) })
    const client = new App({ apiKey: KEY, baseUrl: vault.url, runtime })
    const error = await client.awaitApproval(APPROVAL_ID, { timeoutMs: 5_000 }).catch((caught) => caught)
    expect(error).toMatchObject({ name: 'ApprovalTimeoutError', approvalId: APPROVAL_ID })
    expect(vault.requests.map((request) => request.target.slice(STATUS_PATH.length))).toEqual([
      '?wait=5',
      '?wait=3',
      '?wait=1',
    ])
    expect(runtime.delays).toEqual([5_000, 2_000, 3_000, 2_000, 1_000, 1_000])
    expect(runtime.monotonicMs()).toBe(5_000)
  })

  test('ends when its time is over during a question that is never answered', async () => {
    vault.answer(STATUS_PATH, { silent: true })
    const failure = expect(app.awaitApproval(APPROVAL_ID, { timeoutMs: 10_000 })).rejects.toMatchObject({
      name: 'ApprovalTimeoutError',
    })
    expect(runtime.delays).toEqual([10_000])
    runtime.advance(10_000)
    await failure
  })

  test('ends with the signal, also between two questions', async () => {
    const controller = new AbortController()
    const stopped = createFrozenRuntime()
    vault.answer(STATUS_PATH, status({}))
    const waiting = new App({
      apiKey: KEY,
      baseUrl: vault.url,
      runtime: {
        ...stopped,
        after(ms, run) {
          if (ms === 2_000) queueMicrotask(() => controller.abort(new Error('enough')))
          return stopped.after(ms, run)
        },
      },
    })
    await expect(waiting.awaitApproval(APPROVAL_ID, { signal: controller.signal })).rejects.toThrow('enough')
    expect(vault.requests).toHaveLength(1)
  })

  test.each([{ timeoutMs: 0 }, { timeoutMs: Number.NaN }, { pollIntervalMs: -1 }])('refuses %j', async (options) => {
    await expect(app.awaitApproval(APPROVAL_ID, options)).rejects.toThrow(errors.AlterValueError)
  })
})
