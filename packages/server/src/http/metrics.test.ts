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

  it('says when its port is taken', async () => {
    admin = createAdminListener(createMetrics())
    const { port } = await admin.listen({ host: '127.0.0.1', port: 0 })
    await expect(createAdminListener(createMetrics()).listen({ host: '127.0.0.1', port })).rejects.toThrow(/EADDRINUSE/)
  })
})
