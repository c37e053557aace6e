import type { ReadVersion } from '../kernel/read-version.ts'
import type { ApprovalDefaults } from '../policy/approval-gate.ts'
import type { CompiledRules } from '../policy/compile-rules.ts'

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
  /** Its version is the policy epoch. */
  epoch: ReadVersion
}
