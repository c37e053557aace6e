import type { AllowedHosts } from '../egress/allowed-hosts.ts'
import type { CredentialType } from '../egress/credential-value.ts'
import type { InjectedNames } from '../egress/inject.ts'
import type { Injection } from '../egress/injection.ts'
import type { ReadVersion } from '../kernel/read-version.ts'
import type { CheckRestrictions } from '../policy/grant-restrictions.ts'

/** Everything a use of one grant rests on, read in one snapshot. The credential stays sealed. */
export type GrantFacts = {
  grantId: string
  kind: 'managed_secret'
  principalType: 'user' | 'group' | 'system' | 'agent'
  principalId: string | null
  label: string | null
  status: 'active' | 'revoked' | 'deleted'
  expiresAtMs: number | null
  createdAtMs: number
  /** Null: not restricted. */
  checkRestrictions: CheckRestrictions | null
  secret: {
    managedSecretId: string
    slug: string
    name: string
    status: 'active' | 'deleted'
    type: CredentialType
    injection: Injection
    injectedNames: InjectedNames
    allowedHosts: AllowedHosts
    proxyOnly: boolean
  }
  credential: { credentialId: string; status: 'active' | 'revoked'; sealed: Buffer | null; hint: string | null }
  /** `grant:<id>`, `secret:<id>`, `credential:<id>`. */
  versions: readonly ReadVersion[]
}

/** A principal's live grants on one provider; rests on the principal's version, so that a new grant is seen. */
export type Candidates = { grants: readonly GrantFacts[]; version: ReadVersion }
