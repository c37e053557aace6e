import { type MintedKey, scopesImply } from '@alter-vault/contracts'
import { lockApp } from '../apps/index.ts'
import { appScope } from '../audit/index.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type AppRef, type ChangeAuthor, changeOnce } from '../management/index.ts'
import { getOrganization, organizationSettings } from '../organizations/index.ts'
import { keyState, toKey } from './key.ts'
import { assertGraceAllowed } from './key-policy.ts'
import { capDescendants, getKey, saveKey } from './key-store.ts'
import { type MintDeps, parseScopes, storeNewKey } from './mint-key.ts'

const DEFAULT_GRACE_SECONDS = 86_400

export type KeyRotation = {
  app: AppRef
  author: ChangeAuthor
  keyId: string
  scopes?: readonly string[]
  graceSeconds?: number
}

/**
 * Mints the successor of a key. The old key works until the grace ends, marked as deprecated; what is derived from it ends
 * with it. Refusals: `key_not_found`, `key_revoked`, `derived_key_not_rotatable`, `conflict` for a key that ended or was
 * rotated before, `constraint_not_narrowing` for scopes that it does not hold, `invalid_scope`, `key_policy_violation`.
 */
export const rotateKey =
  ({ audit, clock, keyDigest }: MintDeps) =>
  async (input: KeyRotation): Promise<MintedKey> => {
    const { app, author, keyId, graceSeconds = DEFAULT_GRACE_SECONDS } = input
    const asked = input.scopes === undefined ? undefined : parseScopes(input.scopes)
    return changeOnce(audit, author, appScope(app.appId, app.organizationId), async (tx, record) => {
      await lockApp(tx, app.appId)
      const { key_policy: policy } = organizationSettings((await getOrganization(tx, app.organizationId)).settings)
      const old = await getKey(tx, app.appId, keyId, { lock: true })
      const nowMs = clock.now()
      const now = new Date(nowMs)
      if (old.revoked_at !== null) throw revokedKey()
      if (old.key_type === 'dk')
        throw new VaultError('derived_key_not_rotatable', {
          message: 'A derived key ends by itself; derive another one.',
        })
      if (old.rotated_to !== null)
        throw new VaultError('conflict', { message: 'This key was rotated before; rotate its successor.' })
      if (keyState(old, now) === 'expired')
        throw new VaultError('conflict', { message: 'This key has expired; mint another one.' })
      assertGraceAllowed(graceSeconds, policy)
      const scopes = asked ?? old.scopes
      const wider = scopes.find((scope) => !scopesImply(old.scopes, scope))
      if (wider !== undefined) {
        throw new VaultError('constraint_not_narrowing', {
          message: `The key does not hold "${wider}"; mint a key that does.`,
        })
      }
      const { key_type, agent_id, name, cidr_allowlist, rate_limit_rpm, expires_at } = old
      const columns = { key_type, agent_id, name, scopes, cidr_allowlist, rate_limit_rpm, expires_at }
      const { keyId: newKeyId, plain } = await storeNewKey(
        tx,
        record,
        { clock, keyDigest },
        { app, author, event: 'key.rotated' },
        { ...columns, metadata: old.metadata as object },
      )
      const graceUntil = new Date(nowMs + graceSeconds * 1_000)
      await saveKey(tx, app.appId, keyId, {
        rotated_to: newKeyId,
        grace_until: graceUntil,
        deprecated_at: old.deprecated_at ?? now,
      })
      await capDescendants(tx, app.appId, keyId, graceUntil)
      return { ...toKey(await getKey(tx, app.appId, newKeyId), policy, now), api_key: plain.reveal() }
    })
  }

/** The revoked key is the object of the call, not its caller. */
export const revokedKey = (): VaultError =>
  new VaultError('key_revoked', { status: 409, message: 'This key was revoked, which is final.' })
