import type { AllowedHosts } from '../egress/allowed-hosts.ts'
import type { CredentialKind, InjectedNames } from '../egress/credential-kind.ts'
import type { Injection } from '../egress/injection.ts'
import type { Principal } from '../grants/index.ts'
import type { ReadVersion } from '../kernel/read-version.ts'
import type { CheckRestrictions } from '../policy/grant-restrictions.ts'

export type GrantKind = 'oauth' | 'managed_secret'

/** What a grant is on, whatever its kind: all that rules, rows and the preparation of a call see. */
export type GrantTarget = {
  kind: GrantKind
  /** Provider id, or the slug of the managed secret. */
  providerId: string
  name: string
  status: 'active' | 'deleted'
  scopes: readonly string[]
  allowedHosts: AllowedHosts
  injectedNames: InjectedNames
  /** How a space in a query parameter is written. */
  querySpace: '+' | '%20'
  proxyOnly: boolean
}

/** A credential as it is stored; opaque to all but its kind. */
export type SealedCredential = {
  credentialId: string
  kind: CredentialKind
  injection: Injection
  /** Counts the values that the source has had; null where it counts none. */
  generation: number | null
  /** Null: until it is revoked. */
  usableUntilMs: number | null
  status: 'active' | 'revoked'
  hint: string | null
  sealed: Buffer | null
}

/** What the source of a credential says of the grants on it. */
export type SourceFacts = {
  target: GrantTarget
  credential: Pick<SealedCredential, 'kind' | 'injection' | 'generation' | 'usableUntilMs'>
  version: ReadVersion
}

/** Everything that a use of one grant is decided on, read in one snapshot. The credential stays sealed. */
export type GrantFacts = {
  grantId: string
  principal: Principal
  label: string | null
  status: 'active' | 'revoked' | 'deleted'
  lifetime: { createdAtMs: number; expiresAtMs: number | null }
  /** Null: not restricted. */
  checkRestrictions: CheckRestrictions | null
  target: GrantTarget
  credential: SealedCredential
  /** `grant:<id>`, `credential:<id>`, and that of the source. */
  versions: readonly ReadVersion[]
}

/** A principal's grants on one provider, with the version of the principal, so that a new grant is seen. */
export type Candidates = { grants: readonly GrantFacts[]; version: ReadVersion }
