import { type Endpoint, readApiDescription, readHealth, readReadiness } from '@alter-vault/contracts'
import { VaultError } from '../kernel/vault-error.ts'
import { type BoundEndpoint, bind } from './bind-endpoint.ts'
import { describeApi } from './openapi.ts'

/** One thing that must be so before requests can be served. `check` throws or answers false when it is not. */
export type ReadinessCheck = { name: string; check: () => Promise<boolean> }

type Deps = {
  checks: readonly ReadinessCheck[]
  endpoints: readonly Endpoint[]
  version: string
  publicUrl: string
  /** Resolves after `ms`; a check that takes longer has failed. */
  wait: (ms: number) => Promise<void>
}

const CHECK_MS = 2_000

/** `/healthz`, `/readyz` and the description of the API. */
export function createStatusRoutes({ checks, endpoints, version, publicUrl, wait }: Deps): BoundEndpoint[] {
  const description = describeApi(endpoints, { version, serverUrl: publicUrl })

  const passes = ({ check }: ReadinessCheck): Promise<boolean> =>
    Promise.race([check().catch(() => false), wait(CHECK_MS).then(() => false)])

  return [
    bind(readHealth, async () => ({ status: 'ok' as const })),
    bind(readReadiness, async () => {
      const results = await Promise.all(checks.map(async (one) => ({ name: one.name, ok: await passes(one) })))
      const failed = results.filter(({ ok }) => !ok).map(({ name }) => name)
      if (failed.length > 0) {
        const message = `The server is not ready: ${failed.join(', ')}. Nothing is served until that is so.`
        throw new VaultError('service_unavailable', { message, fields: { checks: results } })
      }
      return { status: 'ready' as const, checks: results }
    }),
    bind(readApiDescription, async () => description),
  ]
}
