import type * as contract from '@alter-vault/contracts'
import { lockApp } from '../apps/index.ts'
import { type AuditLog, appScope } from '../audit/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type AppRef, type ChangeAuthor, changesBetween, type Endings, type ManagedRules } from '../management/index.ts'
import { type GrantView, toGrant } from './grant.ts'
import { grantEvent } from './grant-event.ts'
import { parseLabel, takeLabel } from './grant-label.ts'
import { assertRestrictions, changedLifetime } from './grant-policy.ts'
import { getGrant, grantNotFound, saveGrant } from './grant-store.ts'
import { requireApproval } from './require-approval.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock; endings: Endings; rules: ManagedRules }

export type GrantChange = {
  app: AppRef
  author: ChangeAuthor
  /** The grant must be on this secret. */
  managedSecretId: string
  grantId: string
  change: contract.BodyOf<typeof contract.updateSecretGrant>
}

/**
 * Changes the label or the policy of a grant; what is not named stays, null takes a member off. An expired grant lives again
 * when its end is moved. Refusals: `grant_not_found`, `grant_revoked`, `sibling_label_conflict`, `invalid_grant_policy`,
 * `invalid_rule_body`.
 */
export const changeGrant =
  ({ audit, clock, endings, rules }: Deps) =>
  async ({ app, author, managedSecretId, grantId, change }: GrantChange): Promise<contract.Grant> => {
    const policy = change.grant_policy ?? {}
    assertRestrictions(policy.restrictions)
    return audit.change(appScope(app.appId, app.organizationId), async (tx, record) => {
      await lockApp(tx, app.appId)
      const grant = await getGrant(tx, app.appId, grantId)
      if (grant.source_id !== managedSecretId) throw grantNotFound()
      if (grant.status !== 'active') {
        throw new VaultError('grant_revoked', {
          message: 'This grant was revoked, which is final.',
          fields: { grant_id: grantId },
        })
      }
      const at = new Date(clock.now())
      const before = shownPolicy(grant)
      const columns = {
        label: change.label === undefined ? grant.label : parseLabel(change.label, '/label'),
        ...changedLifetime(grant, policy, at.getTime()),
        restrictions:
          policy.restrictions === undefined
            ? (grant.restrictions as contract.GrantRestrictions | null)
            : policy.restrictions,
      }
      if (columns.label?.toLowerCase() !== grant.label?.toLowerCase()) {
        await takeLabel(endings, tx, record, { ...grant, label: columns.label }, { app, author, at })
      }
      if (policy.requires_approval !== undefined) {
        await requireApproval(rules, tx, record, { app, author, grantId, approval: policy.requires_approval })
      }
      const { requires_approval } = shownPolicy(await getGrant(tx, app.appId, grantId))
      const changes = changesBetween(before, { ...columns, requires_approval })
      if (changes.length > 0) {
        await saveGrant(tx, app.appId, grantId, columns)
        record(grantEvent(author, 'grant.updated', { ...grant, label: columns.label }, { changes }))
      }
      return toGrant(await getGrant(tx, app.appId, grantId), at)
    })
  }

function shownPolicy(grant: GrantView) {
  const { label, expires_at, max_ttl_seconds, default_ttl_seconds, requires_approval } = grant
  const restrictions = grant.restrictions as contract.GrantRestrictions | null
  return { label, expires_at, max_ttl_seconds, default_ttl_seconds, restrictions, requires_approval }
}
