import { afterEach, describe, expect, it } from 'vitest'
import { type AdminListener, createAdminListener, createMetrics } from './metrics.ts'

let admin: AdminListener | undefined
afterEach(() => admin?.close())

describe('the admin listener', () => {
  it('shows metrics by route and status class, and nothing else', async () => {
    const metrics = createMetrics()
    metrics.observe('POST /sdk/proxy', 403, 0.002)
    admin = createAdminListener(metrics)
    const { port } = await admin.listen({ host: '127.0.0.1', port: 0 })
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    expect(text).toContain('alter_http_request_seconds_count{route="POST /sdk/proxy",status="4xx"} 1')
    expect(text).toContain('process_cpu_seconds_total')
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(404)
    expect((await fetch(`http://127.0.0.1:${port}/metrics`, { method: 'POST' })).status).toBe(405)
  })

  it('shows the figures of slices and the refusals by code, and leaves out what cannot be read', async () => {
    let waiting = 3
    const metrics = createMetrics([
      { name: 'alter_waiting', help: 'Waiting.', read: async () => waiting },
      { name: 'alter_pool', help: 'Pool.', label: 'state', read: () => ({ idle: 2, waiting: 0 }) },
      { name: 'alter_seen_total', help: 'Seen.', type: 'counter', read: () => 7 },
      { name: 'alter_away', help: 'Away.', read: () => Promise.reject(new Error('the database is away')) },
    ])
    metrics.observeRefusal('grant_revoked')
    metrics.observeRefusal('grant_revoked')
    const first = await metrics.registry.metrics()
    expect(first).toContain('alter_waiting 3\n')
    expect(first).toContain('alter_pool{state="idle"} 2\nalter_pool{state="waiting"} 0\n')
    expect(first).toContain('alter_refusals_total{code="grant_revoked"} 2\n')
    expect(first).not.toMatch(/^alter_away /m)
    waiting = 1
    const second = await metrics.registry.metrics()
    expect(second).toContain('alter_waiting 1\n')
    expect(second).toContain('alter_seen_total 7\n')
  })

  it('says when its port is taken', async () => {
    admin = createAdminListener(createMetrics())
    const { port } = await admin.listen({ host: '127.0.0.1', port: 0 })
    await expect(createAdminListener(createMetrics()).listen({ host: '127.0.0.1', port })).rejects.toThrow(/EADDRINUSE/)
  })
})
