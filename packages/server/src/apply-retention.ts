import type { Log } from './kernel/log.ts'

type Forget = (scopeId: string, signal?: AbortSignal) => Promise<unknown>
type Deps = {
  /** Every organization with its apps, deleted ones included. */
  readScopes: () => Promise<{ organizationId: string; appIds: string[] }[]>
  /** What is forgotten in each app and each organization. */
  inScopes: readonly Forget[]
  /** What only apps have. */
  inApps: readonly Forget[]
  log: Log
}

/** Forgets what is no longer wanted, one scope after another. A failure is logged and does not hold up the other scopes. */
export function createApplyRetention({ readScopes, inScopes, inApps, log }: Deps) {
  return async function applyRetention(signal?: AbortSignal): Promise<void> {
    const inApp = [...inScopes, ...inApps]
    for (const { organizationId, appIds } of await readScopes()) {
      for (const scopeId of [organizationId, ...appIds]) {
        for (const forget of scopeId === organizationId ? inScopes : inApp) {
          if (signal?.aborted) return
          await forget(scopeId, signal).catch((error: unknown) => {
            log.error({ err: error, scope_id: scopeId }, 'retention could not be applied')
          })
        }
      }
    }
  }
}
