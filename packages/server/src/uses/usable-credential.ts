import type { Stale } from '../kernel/read-versions.ts'
import type { GrantKind } from './grant-facts.ts'
import type { Use } from './use-kind.ts'

type UsedGrant = Pick<Use<unknown, unknown>, 'caller' | 'grant'>
export type Usable = { kind: 'usable' }

/**
 * Keeps a credential that runs out usable. Asked after an allow and before the use's own intent: what takes long, such as a refresh, must
 * not spend the two seconds in which sending has to begin. A refresh has a durable intent of its own. When it changed something the answer
 * names what moved, and the use is decided anew on the new version.
 */
export type EnsureUsable = (use: UsedGrant) => Promise<Usable | Stale>

/** Kinds whose credentials run out. What operators store is usable until it is revoked. */
export type UsableCredentials = { readonly [kind in GrantKind]?: EnsureUsable }

/** Null: the credential does not run out. */
export function ensureUsable(kinds: UsableCredentials, use: UsedGrant): Promise<Usable | Stale> | null {
  const { target, credential } = use.grant
  if (credential.usableUntilMs === null) return null
  const ensure = kinds[target.kind]
  if (ensure === undefined) throw new Error(`Nothing keeps credentials of kind "${target.kind}" usable.`)
  return ensure(use)
}
