import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { createTestServer, type TestServer } from '../testing/test-server.ts'

let server: TestServer
let audit: string

/** One call through the proxy, so that there is something to read. */
async function call() {
  const { dev } = server
  return server.sdk(dev.agent_key, {
    path: '/sdk/proxy',
    body: {
      grant_id: dev.grants.payments_agent,
      method: 'POST',
      url: `${dev.demo_api.url}/v1/payments/refunds`,
      body: { amount: 7 },
      reason: 'order 7 came broken',
    },
  })
}

beforeAll(async () => {
  server = await createTestServer()
  audit = `/api/v1/apps/${server.dev.app_id}/audit`
  await call()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

const get = (path: string) => server.operator('GET', `${audit}${path}`)

describe('the audit log over HTTP', () => {
  test('is searched, shown and explained', async () => {
    const found = await get('/events?stream=runtime&limit=10')
    expect(found.status).toBe(200)
    expect(found.body).toMatchObject({ complete: true, projected_to: null, has_more: false, next_cursor: null })
    const [outcome] = found.body.items
    expect(outcome).toMatchObject({ stream: 'runtime', reason: 'order 7 came broken', app_id: server.dev.app_id })
    const shown = await get(`/events/${outcome.event_id}`)
    expect(shown.body).toEqual(outcome)
    const traces = await get('/traces')
    expect(traces.body.items[0].trace_id).toBe(outcome.trace_id)
    const trace = await get(`/traces/${outcome.trace_id}`)
    expect(trace.body.items.map(({ depth }: { depth: number }) => depth)).toEqual([0, 1])
    const explained = await get(`/traces/${outcome.trace_id}/explain`)
    expect(explained.body).toMatchObject({ trace_id: outcome.trace_id, event_id: outcome.event_id })
    expect((await get(`/events/${newId()}`)).status).toBe(404)
    expect((await get('/events/none')).status).toBe(404)
    expect((await get('/traces/none/explain')).status).toBe(404)
  })

  test('gives up its bodies', async () => {
    const { body } = await get('/events?event=proxy.executed')
    const opened = await get(`/events/${body.items[0].event_id}/body`)
    expect(opened.status).toBe(200)
    expect(opened.body.request).toMatchObject({ text: '{"amount":7}', matches: true })
    expect(opened.body.response).toMatchObject({ matches: true })
    const portal = await get('/portal-actions?event=audit.queried_body')
    expect(portal.body.items).toHaveLength(1)
  })

  test('lists what operators did and what became of grants', async () => {
    const events = async (path: string) =>
      (await get(path)).body.items.map(({ event }: { event: string }) => event) as string[]
    expect(await events('/portal-actions')).toContain('app.created')
    expect(await events('/grant-events')).toContain('grant.created')
  })

  test.each([
    ['/events?cursor=nonsense', 400, 'invalid_cursor'],
    ['/events?limit=0', 422, 'validation_failed'],
    ['/events?limit=1001', 422, 'validation_failed'],
    ['/events?color=red', 400, 'unknown_parameter'],
    ['/events?since=1h&start=2026-01-01T00:00:00Z', 422, 'validation_failed'],
    ['/events?status=20', 422, 'validation_failed'],
    ['/checkpoints?cursor=nonsense', 400, 'invalid_cursor'],
  ])('refuses %s with %i %s', async (path, status, code) => {
    expect(await get(path)).toMatchObject({ status, body: { code } })
  })

  test('is proven: checkpoints, keys, a check, an export with its files', async () => {
    const made = await server.operator('POST', `${audit}/exports`, { format: 'ndjson' })
    expect(made).toMatchObject({ status: 201, body: { status: 'ready', format: 'ndjson' } })
    const rows = await server.operator('GET', made.body.rows_path)
    expect(rows.headers.get('content-type')).toBe('application/x-ndjson')
    const lines = rows.text.trimEnd().split('\n')
    expect(lines.filter((line) => line.includes('"row_no"'))).toHaveLength(made.body.row_count)
    const checkpoints = await server.operator('GET', made.body.checkpoints_path)
    expect(checkpoints.text.trimEnd().split('\n').length).toBeGreaterThan(0)
    const listed = await get('/checkpoints')
    expect(listed.body.items.length).toBe(checkpoints.text.trimEnd().split('\n').length)
    const keys = await fetch(`${server.origin}/.well-known/alter-audit-keys.json`)
    expect(keys.headers.get('cache-control')).toMatch(/^public, max-age=/)
    expect(await keys.json()).toMatchObject({ keys: [{ kid: listed.body.items[0].checkpoint.key_id, kty: 'OKP' }] })
    const checked = await server.operator('POST', `${audit}/integrity-checks`)
    expect(checked).toMatchObject({ status: 200, body: { status: 'ok', first_error: null } })
    expect((await get('/exports')).body.items).toEqual([made.body])
    expect((await get(`/exports/${made.body.id}`)).body).toEqual(made.body)
  })

  test('is exported as CSV by any filter', async () => {
    const made = await server.operator('POST', `${audit}/exports`, { format: 'csv', event: 'proxy.requested' })
    expect(made).toMatchObject({ status: 201, body: { row_count: 1, checkpoints_path: null } })
    const rows = await server.operator('GET', made.body.rows_path)
    expect(rows.headers.get('content-disposition')).toContain('.csv')
    expect(rows.text.trimEnd().split('\r\n')).toHaveLength(2)
    const refused = await server.operator('GET', `${made.body.rows_path.replace(/rows$/, 'checkpoints')}`)
    expect(refused).toMatchObject({ status: 404, body: { code: 'not_found' } })
  })

  test('takes no filter for an export that is to be proven', async () => {
    const refused = await server.operator('POST', `${audit}/exports`, { format: 'ndjson', outcome: 'success' })
    expect(refused).toMatchObject({
      status: 422,
      body: { code: 'validation_failed', errors: [{ pointer: '/outcome' }] },
    })
  })
})
