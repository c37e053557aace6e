import type { Fence } from '../http/principals.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { ApprovalDefaults, CompiledRules } from '../policies/index.ts'

/** What of an app a decision rests on, read in one snapshot with the app's epoch. */
export type AppPolicy = {
  appId: string
  appStatus: 'live' | 'archived' | 'deleted'
  appEnvironment: string
  rules: CompiledRules
  approvalDefaults: ApprovalDefaults
  /** `host:port` entries that this app may reach although they are private. */
  allowedPrivateHosts: ReadonlySet<string>
  captureBodies: boolean
  /** `epoch`; its version is the policy epoch. */
  fence: Fence
}

/** Reads rules, or refuses with `policy_unavailable` while they cannot be read: what no rule has judged is not let through. */
export function orPolicyUnavailable(
  read: (appId: string) => Promise<AppPolicy>,
): (appId: string) => Promise<AppPolicy> {
  return (appId) =>
    read(appId).catch((cause: unknown) => {
      if (!(cause instanceof VaultError) || cause.code !== 'service_unavailable') throw cause
      throw new VaultError('policy_unavailable', { cause, retryAfterSeconds: cause.retryAfterSeconds ?? 1 })
    })
}
