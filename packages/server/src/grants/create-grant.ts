import type { Grant, GrantPolicyWrite } from '@alter-vault/contracts'
import { lockApp } from '../apps/index.ts'
import { type AuditLog, appScope, type RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import {
  type AppRef,
  authorColumn,
  type ChangeAuthor,
  changeOnce,
  changesBetween,
  type Endings,
  type ManagedRules,
} from '../management/index.ts'
import { chooseCredential, getSecret } from '../secrets/index.ts'
import { type GrantRow, toGrant } from './grant.ts'
import { grantEvent } from './grant-event.ts'
import { parseLabel, takeLabel } from './grant-label.ts'
import { assertRestrictions, newLifetime } from './grant-policy.ts'
import { getGrant, insertGrant } from './grant-store.ts'
import { type Principal, principalKinds } from './principals.ts'
import { requireApproval } from './require-approval.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock; endings: Endings; rules: ManagedRules }

export type NewGrant = {
  app: AppRef
  author: ChangeAuthor
  managedSecretId: string
  principal: { type: Principal['type']; id?: string | null }
  label?: string | null | undefined
  /** Where `label` was written, for errors. */
  labelPointer?: string
  credentialId?: string | undefined
  policy?: GrantPolicyWrite | undefined
}

/**
 * Lets a principal use a managed secret. Refusals: `managed_secret_not_found`, `credential_not_found`,
 * `credential_id_required`, `end_user_credential_not_assignable`, `agent_not_found`, `sibling_label_conflict`,
 * `invalid_grant_policy`, `invalid_rule_body`.
 */
export const createGrant =
  ({ audit, clock, endings, rules }: Deps) =>
  async (input: NewGrant): Promise<Grant> => {
    const { app, author, principal, policy = {} } = input
    const { appId, organizationId } = app
    const label = parseLabel(input.label, input.labelPointer ?? '/label')
    assertRestrictions(policy.restrictions)
    return changeOnce(audit, author, appScope(appId, organizationId), async (tx, record) => {
      await lockApp(tx, appId)
      const { secret, credentials } = await getSecret(tx, appId, input.managedSecretId)
      const { credential_id: credentialId } = chooseCredential(credentials, input.credentialId)
      const { type, id = null } = principal
      await principalKinds[type].lock(tx, appId, id)
      const at = new Date(clock.now())
      const place = { credential_id: credentialId, principal_type: type, principal_id: id, label }
      await takeLabel(endings, tx, record, place, { app, author, at })
      const target = { kind: 'managed_secret', providerId: secret.slug, sourceId: secret.managed_secret_id } as const
      const grantId = await storeGrant(tx, record, { app, author, target, ...place, policy, at })
      if (policy.requires_approval !== undefined) {
        await requireApproval(rules, tx, record, { app, author, grantId, approval: policy.requires_approval })
      }
      return toGrant(await getGrant(tx, appId, grantId), at)
    })
  }

/** What a grant is on: the provider that calls and rules name, and the source of its credential. */
type GrantTarget = { kind: GrantRow['grant_kind']; providerId: string; sourceId: string }

/** Makes the grant by which app keys reach a new secret, in the transaction that makes the secret. Returns its id. */
export async function createBaseGrant(
  tx: Tx,
  record: RecordEvent,
  input: { app: AppRef; author: ChangeAuthor; managedSecretId: string; slug: string; credentialId: string; at: Date },
): Promise<string> {
  const { credentialId, managedSecretId, slug, ...rest } = input
  return storeGrant(tx, record, {
    ...rest,
    target: { kind: 'managed_secret', providerId: slug, sourceId: managedSecretId },
    credential_id: credentialId,
    principal_type: 'system',
    principal_id: null,
    label: null,
    policy: {},
  })
}

async function storeGrant(
  tx: Tx,
  record: RecordEvent,
  grant: {
    app: AppRef
    author: ChangeAuthor
    target: GrantTarget
    credential_id: string
    principal_type: Principal['type']
    principal_id: string | null
    label: string | null
    policy: GrantPolicyWrite
    at: Date
  },
): Promise<string> {
  const { app, author, target, credential_id, principal_type, principal_id, label, policy, at } = grant
  const grantId = newId(at.getTime())
  const shown = { label, ...newLifetime(policy, at.getTime()), restrictions: policy.restrictions ?? null }
  await insertGrant(tx, {
    ...shown,
    app_id: app.appId,
    grant_id: grantId,
    principal_type,
    principal_id,
    grant_kind: target.kind,
    provider_id: target.providerId,
    source_id: target.sourceId,
    credential_id,
    created_by: authorColumn(author),
    created_at: at,
  })
  const changes = changesBetween({}, { managed_secret_id: target.sourceId, credential_id, ...shown })
  record(grantEvent(author, 'grant.created', await getGrant(tx, app.appId, grantId), { changes }))
  return grantId
}
