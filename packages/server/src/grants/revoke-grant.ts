import type { Grant } from '@alter-vault/contracts'
import { type AppDeletionStep, lockApp } from '../apps/index.ts'
import { type AuditLog, appScope, type RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { AppRef, ChangeAuthor } from '../management/index.ts'
import { type GrantView, toGrant } from './grant.ts'
import { grantEvent } from './grant-event.ts'
import type { GrantNeighbors } from './grant-neighbors.ts'
import { findUnrevokedGrants, getGrant, saveGrant } from './grant-store.ts'

type Ending = Pick<GrantNeighbors, 'endWaitingApprovals' | 'deleteRulesOf'>
type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock } & Ending
type By = { app: AppRef; author: ChangeAuthor; at: Date; reason: string | null }

export type GrantRevocation = {
  app: AppRef
  author: ChangeAuthor
  grantId: string
  reason?: string
  /** What a second revocation does: nothing, or refuse with `grant_revoked`. */
  whenRevoked: 'keep' | 'refuse'
}

/** Ends a grant at once and for ever, with the requests that wait on it. Refusals: `grant_not_found`, `grant_revoked`. */
export const revokeGrant =
  (deps: Deps) =>
  async ({ app, author, grantId, reason, whenRevoked }: GrantRevocation): Promise<Grant> =>
    deps.audit.change(appScope(app.appId, app.organizationId), async (tx, record) => {
      await lockApp(tx, app.appId)
      const grant = await getGrant(tx, app.appId, grantId)
      const at = new Date(deps.clock.now())
      if (grant.status === 'active')
        await endGrant(deps, tx, record, grant, { app, author, at, reason: reason ?? null })
      else if (whenRevoked === 'refuse') {
        throw new VaultError('grant_revoked', {
          message: 'This grant was revoked before, which is final.',
          fields: { grant_id: grantId },
        })
      }
      return toGrant(await getGrant(tx, app.appId, grantId), at)
    })

/** Revokes one grant in the caller's transaction, which holds the app's lock. */
export async function endGrant(
  { endWaitingApprovals, deleteRulesOf }: Ending,
  tx: Tx,
  record: RecordEvent,
  grant: GrantView,
  { app, author, at, reason }: By,
): Promise<void> {
  await saveGrant(tx, app.appId, grant.grant_id, { status: 'revoked', revoked_at: at, revoked_reason: reason })
  const { inFlight } = await endWaitingApprovals(tx, app.appId, { grantId: grant.grant_id }, 'grant_revoked', record)
  const changes = inFlight.length === 0 ? [] : [{ field: 'in_flight', from: null, to: JSON.stringify(inFlight) }]
  record(grantEvent(author, 'grant.revoked', grant, { changes, reason }))
  await deleteRulesOf(tx, record, { app, author, target: { type: 'grant', id: grant.grant_id } })
}

type CascadeInput = { app: AppRef; author: ChangeAuthor; at: Date }

/** Ends every grant of a secret that is deleted. Returns how many were not revoked before. */
export const revokeGrantsOfSecret =
  (deps: Ending) =>
  async (tx: Tx, record: RecordEvent, input: CascadeInput & { managedSecretId: string }): Promise<number> => {
    const grants = await findUnrevokedGrants(tx, input.app.appId, { sourceId: input.managedSecretId })
    for (const grant of grants) await endGrant(deps, tx, record, grant, { ...input, reason: 'secret_deleted' })
    return grants.length
  }

/** Ends every grant of an agent that is revoked. */
export const revokeGrantsOfAgent =
  (deps: Ending) =>
  async (tx: Tx, record: RecordEvent, input: CascadeInput & { agentId: string }): Promise<number> => {
    const grants = await findUnrevokedGrants(tx, input.app.appId, { agentId: input.agentId })
    for (const grant of grants) await endGrant(deps, tx, record, grant, { ...input, reason: 'agent_revoked' })
    return grants.length
  }

/** Ends every grant of a deleted app; what waits on them ends with the app. */
export const endGrantsOfApp =
  (deps: Ending): AppDeletionStep =>
  async (tx, { app, author, at }, record) => {
    for (const grant of await findUnrevokedGrants(tx, app.appId, { all: true })) {
      await endGrant(deps, tx, record, grant, { app, author, at, reason: 'app_deleted' })
    }
  }
