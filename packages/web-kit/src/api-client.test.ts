import { everybody, noAudit, statusApi } from '@alter-vault/contracts'
import Type from 'typebox'
import { describe, expect, it } from 'vitest'
import { ApiError, type BrowserEndpoint, createApiClient } from './api-client.ts'

const declared = statusApi.defineEndpoint({
  id: 'rename_thing',
  method: 'POST',
  path: '/things/:thing_id/rename',
  summary: 'Rename a thing',
  tag: 'things',
  access: everybody(),
  params: Type.Object({ thing_id: Type.String() }),
  query: Type.Object({ loudly: Type.Optional(Type.Boolean()) }),
  headers: Type.Object({ 'x-token': Type.String() }),
  body: Type.Object({ name: Type.String() }),
  success: Type.Object({ name: Type.String() }),
  errors: [],
  audit: noAudit('an example'),
})
const renameThing: BrowserEndpoint<typeof declared> = declared

const input = {
  params: { thing_id: 'a/b?c' },
  query: { loudly: true },
  headers: { 'x-token': 't' },
  body: { name: 'New' },
}

function answering(answer: () => Response | Promise<Response>) {
  const requests: { url: string; init: RequestInit }[] = []
  const call = createApiClient({
    fetch: async (url, init) => {
      requests.push({ url: String(url), init: init ?? {} })
      return answer()
    },
  })
  return { call, requests }
}

const caught = (promise: Promise<unknown>): Promise<ApiError> =>
  promise.then(
    () => {
      throw new Error('expected a refusal')
    },
    (error: ApiError) => error,
  )

describe('api client', () => {
  it('sends exactly what the declaration names, with path parameters escaped', async () => {
    const { call, requests } = answering(() => Response.json({ name: 'New' }))
    expect(await call(renameThing, input)).toEqual({ name: 'New' })
    expect(requests[0]?.url).toBe('/things/a%2Fb%3Fc/rename?loudly=true')
    expect(requests[0]?.init).toMatchObject({
      method: 'POST',
      body: '{"name":"New"}',
      headers: { 'x-token': 't', 'content-type': 'application/json' },
      redirect: 'error',
      cache: 'no-store',
    })
  })

  it('turns an error envelope into its code, with request id and waiting time', async () => {
    const { call } = answering(() =>
      Response.json(
        { error: 'rate_limit_exceeded', message: 'Too many', request_id: 'req_1' },
        { status: 429, headers: { 'retry-after': '7' } },
      ),
    )
    const error = await caught(call(renameThing, input))
    expect(error).toBeInstanceOf(ApiError)
    expect(error).toMatchObject({ code: 'rate_limit_exceeded', status: 429, requestId: 'req_1', retryAfterSeconds: 7 })
  })

  it('says so when the answer is not one of the vault', async () => {
    const { call } = answering(
      () => new Response('<html>bad gateway', { status: 502, headers: { 'x-request-id': 'req_2' } }),
    )
    expect(await caught(call(renameThing, input))).toMatchObject({
      code: 'unreadable_answer',
      status: 502,
      requestId: 'req_2',
    })
    const odd = answering(() => new Response('not json'))
    expect(await caught(odd.call(renameThing, input))).toMatchObject({ code: 'unreadable_answer', status: 200 })
  })

  it('says so when there is no answer', async () => {
    const { call } = answering(() => Promise.reject(new TypeError('failed to fetch')))
    expect(await caught(call(renameThing, input))).toMatchObject({ code: 'unreachable', status: 0 })
  })

  it('throws the reason of its caller when the caller ended the call', async () => {
    const { call } = answering(() => Promise.reject(new TypeError('aborted')))
    const controller = new AbortController()
    controller.abort('left the page')
    await expect(call(renameThing, input, { signal: controller.signal })).rejects.toBe('left the page')
  })
})
