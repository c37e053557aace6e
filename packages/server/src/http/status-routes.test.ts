import { readReadiness } from '@alter-vault/contracts'
import { describe, expect, it } from 'vitest'
import type { VaultError } from '../kernel/vault-error.ts'
import { createStatusRoutes, type ReadinessCheck } from './status-routes.ts'

const never = () => new Promise<never>(() => {})

function readiness(checks: ReadinessCheck[], wait: (ms: number) => Promise<void>) {
  const routes = createStatusRoutes({ checks, endpoints: [], version: '1', publicUrl: 'http://x', wait })
  return routes.find(({ endpoint }) => endpoint.id === readReadiness.id)!.handler({} as never)
}

describe('readiness', () => {
  it('holds when every check passes', async () => {
    const passing = { name: 'store', check: async () => true }
    expect(await readiness([passing], never)).toEqual({ status: 'ready', checks: [{ name: 'store', ok: true }] })
  })

  it.each([
    ['answers no', async () => false, never],
    ['throws', async () => Promise.reject(new Error('password authentication failed')), never],
    ['takes too long', never, async () => {}],
  ])('fails when one %s, and says which but not why', async (_what, check, wait) => {
    const refused = await readiness(
      [
        { name: 'store', check },
        { name: 'audit', check: async () => true },
      ],
      wait,
    ).then(
      () => undefined,
      (error: VaultError) => error,
    )
    expect(refused).toMatchObject({ code: 'service_unavailable', status: 503 })
    expect(refused?.fields.checks).toContainEqual({ name: 'store', ok: false })
    expect(JSON.stringify([refused?.message, refused?.fields])).not.toContain('password')
  })
})
