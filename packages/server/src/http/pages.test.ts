import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { approvalPageApi, everybody, JsonObject, noAudit } from '@alter-vault/contracts'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../kernel/clock.ts'
import { silentLog } from '../kernel/log.ts'
import { appPages } from './app-pages.ts'
import { checksNothing } from './authenticators.ts'
import { type BoundEndpoint, bind } from './bind-endpoint.ts'
import { docsPages } from './docs-pages.ts'
import { createListener, type Listener } from './listener.ts'
import type { Page } from './routes.ts'

const folder = mkdtempSync(join(tmpdir(), 'pages-'))
beforeAll(() => {
  mkdirSync(join(folder, 'assets'))
  writeFileSync(join(folder, 'index.html'), '<!doctype html><title>App</title>')
  writeFileSync(join(folder, 'assets', 'app-1a2b.js'), 'run()')
})
afterAll(() => rmSync(folder, { recursive: true }))

let listener: Listener
async function serve(
  pages: readonly Page[],
  bound: readonly BoundEndpoint[] = [],
): Promise<(path: string, init?: RequestInit) => Promise<Response>> {
  listener = await createListener({
    declared: bound.map(({ endpoint }) => endpoint),
    bound,
    hotRoutes: new Map(),
    authenticators: { public: checksNothing },
    log: silentLog,
    clock: systemClock,
    publicUrl: 'http://localhost',
    trustedProxies: [],
    maxConnections: 1_000,
    bodyMemoryMib: 256,
    pages,
  })
  const { port } = await listener.listen({ host: '127.0.0.1', port: 0 })
  return (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init)
}
afterEach(() => listener.close(1_000))

describe('the pages of an app', () => {
  it('are its index under every path that is no file, with a policy that allows nothing inline', async () => {
    const get = await serve(appPages({ prefix: '/wallet', folder }))
    for (const path of ['/wallet', '/wallet/', '/wallet/approvals/x']) {
      const page = await get(path)
      expect(await page.text()).toContain('<title>App</title>')
      const policy = page.headers.get('content-security-policy')!
      expect(policy).toContain("default-src 'none'; script-src 'self'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toContain('unsafe')
      expect(page.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
      expect(page.headers.get('cache-control')).toBe('no-cache')
      const again = await get(path, { headers: { 'if-none-match': page.headers.get('etag')! } })
      expect(again.status).toBe(304)
    }
  })

  it('never stand in for an answer of the API', async () => {
    const decide = approvalPageApi.defineEndpoint({
      id: 'decide',
      method: 'POST',
      path: '/wallet/api/approvals/:approval_id/decide',
      summary: 'x',
      tag: 'x',
      access: everybody(),
      success: JsonObject,
      errors: [],
      audit: noAudit('a test'),
    })
    const get = await serve(appPages({ prefix: '/wallet', folder }), [bind(decide, async () => ({}))])
    const wrongMethod = await get('/wallet/api/approvals/x/decide')
    expect([wrongMethod.status, wrongMethod.headers.get('allow')]).toEqual([405, 'POST'])
    expect(await wrongMethod.json()).toMatchObject({ error: 'method_not_allowed' })
    const unknown = await get('/wallet/api/nothing')
    expect([unknown.status, (await unknown.json()) as unknown]).toMatchObject([404, { error: 'not_found' }])
  })

  it('are files that may be kept when their names carry their content', async () => {
    const get = await serve(appPages({ prefix: '/wallet', folder }))
    const script = await get('/wallet/assets/app-1a2b.js')
    expect([await script.text(), script.headers.get('cache-control')]).toEqual([
      'run()',
      'public, max-age=31536000, immutable',
    ])
    const head = await get('/wallet/assets/app-1a2b.js', { method: 'HEAD' })
    expect([head.status, await head.text(), head.headers.get('content-length')]).toEqual([200, '', '5'])
    const missing = await get('/wallet/assets/gone.js')
    expect([await missing.text(), missing.headers.get('cache-control')]).toEqual([
      '<!doctype html><title>App</title>',
      'no-cache',
    ])
    for (const outside of ['/wallet/..%2f..%2fetc/passwd', '/wallet/%2e%2e/%2e%2e/etc/passwd', '/wallet/%']) {
      expect(await (await get(outside)).text()).not.toContain('root:')
    }
    expect(await (await get('/wallet/..%2f..%2fetc/passwd')).text()).toContain('<title>App</title>')
  })
})

describe('the API as a page', () => {
  it('is where the root leads, and has its slash', async () => {
    const get = await serve(docsPages)
    for (const [path, status] of [
      ['/', 302],
      ['/docs', 301],
    ] as const) {
      const moved = await get(path, { redirect: 'manual' })
      expect([moved.status, moved.headers.get('location')]).toEqual([status, '/docs/'])
    }
    const posted = await get('/docs/', { method: 'POST' })
    expect(posted.status).toBe(404)
  })

  it('runs scripts of this server only, its inline one by hash', async () => {
    const get = await serve(docsPages)
    const page = await get('/docs/')
    const html = await page.text()
    const policy = page.headers.get('content-security-policy')!
    const inline = [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g)].map(([, script]) => script!)
    expect(inline.length).toBeGreaterThan(0)
    for (const script of inline) {
      expect(policy).toContain(`'sha256-${createHash('sha256').update(script).digest('base64')}'`)
    }
    expect(policy.match(/script-src [^;]*/)![0]).not.toContain('unsafe')
    expect(html).toContain('/api/v1/openapi.json')
    expect(html.match(/\ssrc="[^"]*"/g)).toEqual([' src="js/scalar.js"'])
    const script = await get('/docs/js/scalar.js')
    expect([script.status, script.headers.get('x-content-type-options')]).toEqual([200, 'nosniff'])
  })

  it('explains each code where the type of a problem leads', async () => {
    const get = await serve(docsPages)
    const page = await get('/errors/grant_revoked')
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/plain; charset=utf-8'])
    expect(await page.text()).toContain('The grant was revoked. Nothing was sent.')
    expect((await get('/errors/constructor')).status).toBe(404)
  })
})
