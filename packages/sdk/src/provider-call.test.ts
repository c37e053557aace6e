import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createFrozenRuntime } from '../test/frozen-runtime.ts'
import { type RecordingVault, startRecordingVault } from '../test/recording-vault.ts'
import { expectedSignature } from '../test/signature-check.ts'
import { Agent } from './agent.ts'
import { App, type AppOptions } from './app.ts'
import * as errors from './generated/errors.ts'
import type { RequestOptions } from './provider-call.ts'
import { SDK_VERSION } from './version.ts'

const KEY = 'alter_rk_abcdefghijklmnopqrstuv_iwpykn'
const GRANT_ID = '00000000-0000-4000-8000-000000000010'
const ACTOR_ID = '00000000-0000-4000-8000-000000000016'
const TOKEN = 'xoxb-very-secret-token'
const AUDIT = '/sdk/oauth/audit/api-call'
const SCOPE_REPORT = `/sdk/grants/${GRANT_ID}/report-scope-mismatch`

let vault: RecordingVault
let runtime: ReturnType<typeof createFrozenRuntime>
let app: App

beforeEach(async () => {
  vault = await startRecordingVault()
  runtime = createFrozenRuntime()
  vault.answer(AUDIT, { status: 204 })
  app = createApp()
  answerToken()
  runtime.warnings.length = 0
})
afterEach(async () => {
  await app.close()
  await vault[Symbol.asyncDispose]()
})

function createApp(options: Partial<AppOptions> = {}): App {
  return new App({ apiKey: KEY, baseUrl: vault.url, runtime, ...options })
}

function answerToken(fields: Record<string, unknown> = {}): void {
  vault.answer('/sdk/token', { json: { access_token: TOKEN, grant_id: GRANT_ID, provider_id: 'slack', ...fields } })
}

function call(options: Partial<RequestOptions> = {}, method = 'POST', path = '/api/things') {
  return app.request(method, `${vault.url}${path}`, { grantId: GRANT_ID, ...options })
}

async function auditReport(): Promise<Record<string, unknown>> {
  await app.close()
  expect(vault.to(AUDIT)).toHaveLength(1)
  return JSON.parse(vault.to(AUDIT)[0]!.body)
}

describe('a call with a credential of the vault', () => {
  test('declares itself, sends the provider what was asked, and nothing of the vault', async () => {
    vault.answer('/api/things', { status: 201, json: { ok: true }, headers: { 'x-provider': '1' } })
    const response = await call({ json: { text: 'Zoë' }, headers: { 'X-Custom': 'a' }, reason: 'because' })
    expect(response.status).toBe(201)
    expect(await response.json()).toEqual({ ok: true })
    expect(response.retryInfo).toBeNull()

    const [token, provider] = vault.requests
    expect(token!.body).toBe(
      `{"grant_id":"${GRANT_ID}","reason":"because","request":{"method":"POST","url":"${vault.url}/api/things"}}`,
    )
    expect(token!.headers['x-alter-signature']).toBe(expectedSignature(token!, KEY))
    expect(provider).toMatchObject({ method: 'POST', target: '/api/things', body: '{"text":"Zoë"}' })
    expect(provider!.headers).toMatchObject({
      authorization: `Bearer ${TOKEN}`,
      'content-type': 'application/json',
      'user-agent': `alter-sdk-typescript/${SDK_VERSION}`,
      'x-custom': 'a',
    })
    expect(Object.keys(provider!.headers).filter((name) => name.startsWith('x-alter') || name === 'x-api-key')).toEqual(
      [],
    )
  })

  test('by provider names user, account and label in the order of the protocol', async () => {
    vault.answer('/api/things', { json: {} })
    app = createApp({ userTokenGetter: () => 'jwt' })
    await app.request('get', `${vault.url}/api/things`, {
      provider: 'slack',
      appUserId: 'u',
      account: 'a@x',
      label: 'work',
    })
    expect(vault.to('/sdk/token')[0]!.body).toBe(
      `{"provider_id":"slack","reason":null,"request":{"method":"GET","url":"${vault.url}/api/things"},"user_token":"jwt","app_user_id":"u","account":"a@x","label":"work"}`,
    )
  })

  test('keeps queryParams out of what it declares', async () => {
    vault.answer('/api/a%2Fb', { json: {} })
    const response = await app.request('GET', `${vault.url}/api/{id}?x=1#part`, {
      grantId: GRANT_ID,
      pathParams: { id: 'a/b' },
      queryParams: { q: 'a b&c', list: [1, true], none: null },
    })
    expect(vault.to('/api')[0]!.target).toBe('/api/a%2Fb?x=1&q=a%20b%26c&list=1&list=true&none=')
    expect(JSON.parse(vault.to('/sdk/token')[0]!.body).request.url).toBe(`${vault.url}/api/a%2Fb?x=1`)
    expect(response.url).toBe(`${vault.url}/api/a%2Fb?x=1&q=a%20b%26c&list=1&list=true&none=`)
  })

  test('sends raw bytes as they are', async () => {
    vault.answer('/api/things', { json: {} })
    await call({ body: Uint8Array.of(0, 255, 1), headers: { 'Content-Type': 'application/octet-stream' } }, 'PUT')
    expect([...vault.to('/api')[0]!.bytes]).toEqual([0, 255, 1])
    expect(await auditReport()).toMatchObject({ request_body: '<binary body: 3 bytes>' })
  })

  test('does not follow a redirect of the provider', async () => {
    vault.answer('/api/things', { status: 302, headers: { location: `${vault.url}/elsewhere` } })
    const response = await call({}, 'GET')
    expect(response.status).toBe(302)
    expect(vault.to('/elsewhere')).toEqual([])
  })

  test('tells what the vault tried', async () => {
    const retryInfo = {
      total_attempts: 2,
      successful_attempt: 2,
      errors: [{ attempt: 1, error: 'busy', error_type: 'Busy', delay_s: 0.5, permanent: false }],
    }
    answerToken({ retry_info: retryInfo })
    vault.answer('/api/things', { json: {} })
    const response = await call()
    expect(response.retryInfo).toMatchObject({ totalAttempts: 2, errors: [{ attempt: 1, delayS: 0.5 }] })
    expect(app.lastRetryInfo).toBe(response.retryInfo)
    expect(JSON.parse(JSON.stringify(response.retryInfo))).toEqual(retryInfo)
    answerToken({ retry_info: { total_attempts: 0 } })
    expect((await call()).retryInfo).toBeNull()
  })

  test.each([
    [{}, 'Name exactly one'],
    [{ grantId: GRANT_ID, provider: 'slack' }, 'Name exactly one'],
    [{ grantId: '' }, '"grantId"'],
    [{ grantId: GRANT_ID, label: 'x' }, '"label"'],
    [{ grantId: GRANT_ID, account: 'x' }, '"account"'],
    [{ grantId: GRANT_ID, appUserId: 'x' }, '"appUserId"'],
    [{ grantId: GRANT_ID, caller: 'Zoë' }, 'caller'],
    [{ grantId: GRANT_ID, headers: { 'a b': 'x' } }, 'header name'],
    [{ grantId: GRANT_ID, headers: { a: 'x\r\ny: z' } }, '"a"'],
    [{ grantId: GRANT_ID, headers: { Host: 'x' } }, '"Host"'],
    [{ grantId: GRANT_ID, headers: { 'Content-Length': '1' } }, '"Content-Length"'],
    [{ grantId: GRANT_ID, json: { n: Number.POSITIVE_INFINITY } }, 'Infinity'],
    [{ grantId: GRANT_ID, json: 1n }, 'JSON'],
    [{ grantId: GRANT_ID, json: () => 1 }, 'JSON'],
    [{ grantId: GRANT_ID, json: {}, body: new Uint8Array() }, 'not both'],
    [{ grantId: GRANT_ID, body: 'text' }, 'Uint8Array'],
    [{ grantId: GRANT_ID, pathParams: { id: 1 } }, '"id"'],
    [{ grantId: GRANT_ID, queryParams: { a: { b: 1 } } }, '"a"'],
    [{ grantId: GRANT_ID, queryParams: { a: Number.NaN } }, '"a"'],
    [{ grantId: GRANT_ID, context: { a: 1 } }, '"a"'],
    [{ grantId: GRANT_ID, userToken: '' }, 'user token'],
  ])('refuses the options (%#)', async (options, text) => {
    const failure = app.request('POST', `${vault.url}/api/things`, options as never)
    await expect(failure).rejects.toThrow(errors.AlterValueError)
    await expect(failure).rejects.toThrow(text)
    expect(vault.requests).toEqual([])
  })

  test.each([
    '',
    '/api',
    'ftp://api.example.com/',
    'http://api.example.com/',
    'https://user:pw@api.example.com/',
    'https://api.example.com:99999/',
    'https://api.example.com/{id}',
    'https://api.example.com/}',
    `https://api.example.com/${'x'.repeat(65_536)}`,
  ])('refuses the URL %.60s', async (url) => {
    await expect(app.request('GET', url, { grantId: GRANT_ID })).rejects.toThrow(errors.AlterValueError)
    expect(vault.requests).toEqual([])
  })

  test.each(['..', '.', ''])('refuses the path value %j, which would climb', async (id) => {
    const failure = app.request('GET', `${vault.url}/api/{id}/x`, { grantId: GRANT_ID, pathParams: { id } })
    await expect(failure).rejects.toThrow(errors.AlterValueError)
  })

  test.each([
    ['', {}],
    ['GET', { json: {} }],
    ['head', { body: new Uint8Array(1) }],
    ['TRACE', {}],
  ])('refuses the method %j with %j', async (method, options) => {
    await expect(call(options, method)).rejects.toThrow(errors.AlterValueError)
    expect(vault.requests).toEqual([])
  })

  test('accepts a method that is no standard one', async () => {
    vault.answer('/api/things', { json: {} })
    await call({}, 'propfind')
    expect(vault.to('/api')[0]!.method).toBe('PROPFIND')
  })
})

describe('a caller of one call', () => {
  test('replaces the name of the client, without its actor, and is not in the report', async () => {
    vault.answer('/api/things', { json: {} })
    vault.answer('/sdk/scopes', {
      json: { scope_version: 1, resources: {}, action_verbs: [] },
      headers: { 'X-Alter-Actor-ID': ACTOR_ID },
    })
    app = createApp({ caller: 'cron' })
    await app.scopes.list()
    vault.answer('/sdk/token', {
      json: { access_token: TOKEN, grant_id: GRANT_ID },
      headers: { 'X-Alter-Actor-ID': '00000000-0000-4000-8000-00000000ffff' },
    })
    await call({ caller: 'other', context: { ticket: '1' } }, 'GET')
    await app.close()
    const token = vault.to('/sdk/token')[0]!
    expect(token.headers).toMatchObject({ 'x-alter-caller': 'other', 'x-alter-caller-type': 'service' })
    expect(token.headers).not.toHaveProperty('x-alter-actor-id')
    expect(app.actorId).toBe(ACTOR_ID)
    expect(vault.to(AUDIT)[0]!.headers).toMatchObject({
      'x-alter-caller': 'cron',
      'x-alter-actor-id': ACTOR_ID,
      'x-alter-context': '{"ticket":"1"}',
    })
  })
})

describe('injection', () => {
  test('replaces the header of the caller, in the format of the vault', async () => {
    answerToken({ injection_header: 'X-Token', injection_format: 'Basic {token}', access_token: 'a$&b-long-token' })
    vault.answer('/api/things', { json: {} })
    await call({ headers: { 'x-token': 'mine', Authorization: 'mine' } })
    expect(vault.to('/api')[0]!.headers).toMatchObject({ 'x-token': 'Basic a$&b-long-token', authorization: 'mine' })
    const { request_headers } = await auditReport()
    expect(Object.keys(request_headers as object).sort()).toEqual(['user-agent'])
  })

  test('adds headers and parameters, which no report, answer or error shows', async () => {
    answerToken({
      additional_credentials: { account: 'second-secret' },
      additional_injections: [
        { target: 'header', key: 'X-Account', value_source: 'additional_credentials.account' },
        { target: 'query_param', key: 'key', value_source: 'token' },
      ],
    })
    vault.answer('/api/things', { json: { echo: `${TOKEN} second-secret` }, headers: { 'x-echo': TOKEN } })
    const response = await call({ queryParams: { key: 'mine', a: '1' } })
    const provider = vault.to('/api')[0]!
    expect(provider.target).toBe(`/api/things?a=1&key=${TOKEN}`)
    expect(provider.headers['x-account']).toBe('second-secret')
    expect(response.url).toBe(`${vault.url}/api/things?key=mine&a=1`)
    await app.close()
    expect(vault.to(AUDIT)[0]!.body).not.toMatch(/secret/)
    expect(JSON.parse(vault.to(AUDIT)[0]!.body)).toMatchObject({
      response_body: '{"echo":"[redacted] [redacted]"}',
      response_headers: { 'x-echo': '[redacted]' },
    })
  })

  test('signs for AWS instead when the format says so', async () => {
    answerToken({
      access_token: 'AKIAIOSFODNN7EXAMPLE',
      injection_format: 'AWS4-HMAC-SHA256',
      additional_credentials: {
        secret_key: 'aws-secret-key',
        session_token: 'aws-session',
        region: 'eu-west-1',
        service: 'sqs',
      },
      additional_injections: [{ target: 'header', key: 'X-Extra', value_source: 'token' }],
    })
    vault.answer('/api/things', { json: {} })
    await call({ queryParams: { b: '2', a: 'x y' }, json: { a: 1 } })
    const provider = vault.to('/api')[0]!
    expect(provider.target).toBe('/api/things?a=x%20y&b=2')
    expect(provider.headers).toMatchObject({
      authorization: expect.stringMatching(
        /^AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE\/20260101\/eu-west-1\/sqs\/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=[0-9a-f]{64}$/,
      ),
      'x-amz-date': '20260101T000000Z',
      'x-amz-security-token': 'aws-session',
    })
    expect(provider.headers).not.toHaveProperty('x-extra')
    await app.close()
    expect(vault.to(AUDIT)[0]!.body).not.toMatch(/aws-session|aws-secret-key|AKIA/)
  })

  test('fails before sending when nothing says what AWS should sign for', async () => {
    answerToken({ injection_format: 'AWS4-HMAC-SHA256', additional_credentials: { secret_key: 'aws-secret-key' } })
    await expect(call()).rejects.toThrow(/region and service/)
    expect(vault.to('/api')).toEqual([])
  })

  test('fails without showing a credential that a header cannot carry', async () => {
    answerToken({ access_token: 'secret-\u{1f600}' })
    const error = await call().catch((caught) => caught)
    expect(error).toBeInstanceOf(errors.BackendError)
    expect(error.message + error.stack).not.toContain('secret-')
    expect(vault.to('/api')).toEqual([])
  })

  test('fails when the vault names a credential that it did not send', async () => {
    answerToken({ additional_injections: [{ target: 'header', key: 'X-A', value_source: 'additional_credentials.a' }] })
    await expect(call()).rejects.toThrow(errors.BackendError)
  })

  test.each<Record<string, unknown>>([
    { access_token: '' },
    { access_token: 'a\r\nb' },
    { access_token: null },
    { grant_id: GRANT_ID.replace('a', 'A').replace('0000-4', '000g-4') },
    { grant_id: GRANT_ID.slice(1) },
    { token_type: null },
    { token_type: ' Bearer' },
    { expires_in: -1 },
    { expires_at: '2026-01-01T00:00:00' },
    { scopes: null },
    { scopes: [' a'] },
    { provider_id: null },
    { token_generation: 'x' },
    { scope_mismatch: 1 },
    { injection_header: 'Host' },
    { injection_header: 'Cookie' },
    { injection_header: 'A_B' },
    { injection_header: null },
    { injection_format: 'Bearer' },
    { injection_format: 'Bearer {token}\r\nX: y' },
    { additional_credentials: { a: ' ' } },
    { additional_credentials: [] },
    { additional_injections: [{ target: 'body', key: 'a', value_source: 'token' }] },
    { additional_injections: [{ target: 'header', key: 'a b', value_source: 'token' }] },
    { additional_injections: [{ target: 'header', key: 'Host', value_source: 'token' }] },
    { additional_injections: [{ target: 'header', key: 'a', value_source: 'grant_id' }] },
    { additional_injections: [{ target: 'header', key: 'a', value_source: 'token', extra: 1 }] },
    {
      additional_injections: Array.from({ length: 11 }, () => ({ target: 'header', key: 'a', value_source: 'token' })),
    },
  ])('refuses the credential with %j', async (fields) => {
    answerToken(fields)
    const error = await call().catch((caught) => caught)
    expect(error.constructor).toBe(errors.BackendError)
    expect(error.message + JSON.stringify(error)).not.toContain(TOKEN)
    expect(vault.to('/api')).toEqual([])
  })

  test('takes null where it means absent, and unknown fields', async () => {
    answerToken({
      expires_in: null,
      expires_at: null,
      token_generation: null,
      additional_credentials: null,
      additional_injections: null,
      retry_info: null,
      more: 1,
    })
    vault.answer('/api/things', { json: {} })
    expect((await call()).status).toBe(200)
  })
})

describe('the report of a call', () => {
  test('has every field, without what is sensitive', async () => {
    answerToken({ token_generation: ACTOR_ID })
    vault.answer('/api/things', (request) => {
      expect(request.headers.cookie).toBe('session=1')
      runtime.advance(12.4)
      return {
        status: 200,
        body: 'plain',
        headers: { 'set-cookie': 'a=b', 'X-Custom': 'c', date: 'never', connection: 'close' },
      }
    })
    await call({
      json: { a_b: 1 },
      headers: { Cookie: 'session=1', 'X-Api-Key': 'mine', 'X-Ok': 'yes' },
      queryParams: { q: 'private' },
      reason: 'r',
      context: { camelCase: 'kept' },
    })
    expect(await auditReport()).toEqual({
      grant_id: GRANT_ID,
      provider_id: 'slack',
      token_generation: ACTOR_ID,
      method: 'POST',
      url: `${vault.url}/api/things`,
      request_headers: { 'content-type': 'application/json', 'user-agent': expect.any(String), 'x-ok': 'yes' },
      request_body: { a_b: 1 },
      response_status: 200,
      response_headers: expect.objectContaining({ 'x-custom': 'c' }),
      response_body: 'plain',
      latency_ms: 12,
      reason: 'r',
      context: { camelCase: 'kept' },
    })
    expect(JSON.parse(vault.to(AUDIT)[0]!.body).response_headers).not.toHaveProperty('set-cookie')
    expect(vault.to(AUDIT)[0]!.headers['x-alter-signature']).toBe(expectedSignature(vault.to(AUDIT)[0]!, KEY))
  })

  test.each([
    [{ status: 204 }, ''],
    [{ body: 'x'.repeat(10_000) }, 'x'.repeat(10_000)],
    [{ body: 'x'.repeat(10_001) }, '<response too large: 10001 bytes>'],
    [{ body: Uint8Array.of(0xff, 0xd8) }, '<binary response: 2 bytes>'],
    [{ body: 'a\0b' }, '<binary response: 3 bytes>'],
  ])('describes an answer by its bytes (%#)', async (reply, described) => {
    vault.answer('/api/things', reply)
    await call()
    expect(await auditReport()).toMatchObject({
      response_body: described,
      provider_id: 'slack',
      context: null,
      reason: null,
      request_body: null,
    })
  })

  test('is delivered behind the back of the caller, and close() waits for it', async () => {
    vault.answer('/api/things', { json: {} })
    await call()
    expect(vault.to(AUDIT)).toHaveLength(0)
    await app.close()
    expect(vault.to(AUDIT)).toHaveLength(1)
  })

  test.each([[{ status: 500, json: {} }], [{ hangUp: true }]])(
    'that is not taken is a warning, no failure (%#)',
    async (reply) => {
      vault.answer(AUDIT, reply)
      vault.answer('/api/things', { json: {} })
      expect((await call()).status).toBe(200)
      await app.close()
      expect(runtime.warnings).toHaveLength(1)
      expect(runtime.warnings[0]).not.toContain(TOKEN)
    },
  )

  test('says that there was no answer', async () => {
    vault.answer('/api/things', { hangUp: true })
    const error = await call().catch((caught) => caught)
    expect(error.constructor).toBe(errors.NetworkError)
    expect(await auditReport()).toMatchObject({
      response_status: 0,
      response_headers: {},
      response_body: expect.stringMatching(/^<transport error: /),
    })
  })
})

describe('the limits of a call', () => {
  test('hold for the provider as well', async () => {
    let arrived = () => {}
    const atProvider = new Promise<void>((resolve) => {
      arrived = resolve
    })
    vault.answer('/api/things', () => {
      arrived()
      return { silent: true }
    })
    const failure = expect(call()).rejects.toMatchObject({ name: 'TimeoutError' })
    await atProvider
    runtime.advance(30_000)
    await failure
    expect(await auditReport()).toMatchObject({ response_status: 0, latency_ms: 30_000 })
  })

  test('end with the signal, whose reason is the error', async () => {
    const controller = new AbortController()
    vault.answer('/api/things', () => {
      controller.abort(new Error('user left'))
      return { silent: true }
    })
    await expect(call({ signal: controller.signal })).rejects.toThrow('user left')
    await expect(call({ signal: controller.signal })).rejects.toThrow('user left')
    expect(vault.to('/sdk/token')).toHaveLength(1)
  })
})

describe('an answer of the provider from 400 on', () => {
  test.each([400, 403, 404, 429, 500])('%i is a provider error with the answer', async (status) => {
    vault.answer('/api/things', { status, json: { why: TOKEN } })
    const error = await call().catch((caught) => caught)
    expect(error.constructor).toBe(errors.ProviderAPIError)
    expect(error).toMatchObject({
      statusCode: status,
      grantId: GRANT_ID,
      providerId: 'slack',
      responseBody: '{"why":"[redacted]"}',
    })
    expect(await error.response.json()).toEqual({ why: TOKEN })
    expect(JSON.stringify(error)).not.toContain(TOKEN)
    expect(await auditReport()).toMatchObject({ response_status: status })
  })

  test('401 means that the provider does not accept the credential', async () => {
    vault.answer('/api/things', { status: 401 })
    await expect(call()).rejects.toMatchObject({ name: 'ProviderUnauthorizedError' })
  })

  test('401 that names a missing scope is no rejected credential', async () => {
    vault.answer('/api/things', { status: 401, headers: { 'WWW-Authenticate': 'Bearer error="insufficient_scope"' } })
    await expect(call()).rejects.toMatchObject({ name: 'ProviderAPIError' })
  })

  test('403 that names a missing scope asks for a new connection and is reported', async () => {
    const challenge =
      'Basic realm="error=insufficient_scope", Bearer realm="x, y", error="insufficient_scope", scope="a:b c:d"'
    vault.answer('/api/things', { status: 403, headers: { 'WWW-Authenticate': challenge } })
    vault.answer(SCOPE_REPORT, { status: 204 })
    app = createApp({ caller: 'cron' })
    await expect(call({ caller: 'other', queryParams: { q: 'private' } })).rejects.toMatchObject({
      name: 'ScopeReauthRequiredError',
      source: 'www_authenticate_rfc6750',
      missingScopes: ['a:b', 'c:d'],
      statusCode: 403,
    })
    await app.close()
    const [report] = vault.to(SCOPE_REPORT)
    expect(JSON.parse(report!.body)).toEqual({
      provider_status_code: 403,
      provider_error_code: 'insufficient_scope',
      missing_scopes: ['a:b', 'c:d'],
      raw_www_authenticate: challenge,
      api_endpoint: `${vault.url}/api/things`,
      detection_source: 'www_authenticate_rfc6750',
      sdk_correlation_id: 'AAECAwQFBgcICQoLDA0ODw',
    })
    expect(report!.headers['x-alter-caller']).toBe('cron')
    expect(report!.headers).not.toHaveProperty('x-alter-context')
    expect(runtime.delays).toContain(2_000)
    expect(runtime.warnings).toEqual([])
  })

  test('403 without scopes reports none, and a report that is not taken is a warning', async () => {
    vault.answer('/api/things', { status: 403, headers: { 'WWW-Authenticate': 'bearer error=insufficient_scope' } })
    vault.answer(SCOPE_REPORT, { status: 200, headers: { 'x-correlation-id': 'c-1' } })
    await expect(call()).rejects.toThrow(errors.ScopeReauthRequiredError)
    await app.close()
    expect(JSON.parse(vault.to(SCOPE_REPORT)[0]!.body).missing_scopes).toBeNull()
    expect(runtime.warnings).toEqual([expect.stringContaining('c-1')])
  })

  test.each([
    'Basic error="insufficient_scope"',
    'Bearer error_description="error=insufficient_scope"',
    'Bearer error="invalid_token"',
  ])('403 with %s names no missing scope', async (challenge) => {
    vault.answer('/api/things', { status: 403, headers: { 'WWW-Authenticate': challenge } })
    await expect(call()).rejects.toMatchObject({ name: 'ProviderAPIError' })
    await app.close()
    expect(vault.to(SCOPE_REPORT)).toEqual([])
  })

  test('403 asks for a new connection when the vault knows that scopes are missing', async () => {
    answerToken({ scope_mismatch: true })
    vault.answer('/api/things', { status: 403 })
    await expect(call()).rejects.toMatchObject({ name: 'ScopeReauthRequiredError', source: 'backend_flag' })
    await app.close()
    expect(vault.to(SCOPE_REPORT)).toEqual([])
  })
})

describe('a refused credential', () => {
  test('is the error of the refusal, and the provider hears nothing', async () => {
    vault.answer('/sdk/token', { status: 403, json: { error: 'policy_denied', message: 'no' } })
    await expect(call()).rejects.toMatchObject({ name: 'PolicyViolationError', policyError: 'policy_denied' })
    await app.close()
    expect(vault.requests).toHaveLength(1)
  })

  test('that speaks of connecting is told as a backend error', async () => {
    vault.answer('/sdk/token', { status: 409, json: { error: 'no_eligible_grants', message: 'none' } })
    const error = await call().catch((caught) => caught)
    expect(error.constructor).toBe(errors.BackendError)
    expect(error.details).toEqual({ grant_id: GRANT_ID, error: 'none', status_code: 409 })
  })

  test('keeps a missing scope what it is', async () => {
    vault.answer('/sdk/token', { status: 403, json: { error: 'scope_mismatch', message: 'x', details: {} } })
    await expect(call()).rejects.toThrow(errors.ScopeReauthRequiredError)
  })

  test('tells an agent that nobody delegated to it, where an app has no grant', async () => {
    const refusal = {
      status: 404,
      json: { error: 'grant_not_found', message: 'x', provider_id: 'slack', agent_id: 'a' },
    }
    vault.answer('/sdk/token', refusal)
    const agent = new Agent({ apiKey: KEY, baseUrl: vault.url, runtime })
    const byAgent = await agent.request('GET', `${vault.url}/x`, { provider: 'slack' }).catch((caught) => caught)
    expect(byAgent.constructor).toBe(errors.AgentDelegationMissingError)
    expect(byAgent).toMatchObject({ providerId: 'slack', agentId: 'a' })
    expect((await call().catch((caught) => caught)).constructor).toBe(errors.GrantNotFoundError)
    vault.answer('/sdk/token', { status: 404, json: { error: 'no_delegated_grant' } })
    const other = await agent.request('GET', `${vault.url}/x`, { provider: 'slack' }).catch((caught) => caught)
    expect(other.constructor).toBe(errors.NoDelegatedGrantError)
  })
})
