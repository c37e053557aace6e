import type { Grant } from '@alter-vault/contracts'
import { lockApp } from '../apps/index.ts'
import { type AuditLog, appScope, type RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'
import {
  type AppRef,
  type ChangeAuthor,
  changeOnce,
  type Ended,
  type EndedBy,
  type Endings,
  type OnEnded,
} from '../management/index.ts'
import { type GrantView, toGrant } from './grant.ts'
import { grantEvent } from './grant-event.ts'
import { findUnrevokedGrants, getGrant, saveGrant } from './grant-store.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock; endings: Endings }

export type GrantRevocation = {
  app: AppRef
  author: ChangeAuthor
  grantId: string
  reason?: string | undefined
  /** What a second revocation does: nothing, or refuse with `grant_revoked`. */
  whenRevoked: 'keep' | 'refuse'
}

/** Ends a grant at once and for ever, with the requests that wait on it. Refusals: `grant_not_found`, `grant_revoked`. */
export const revokeGrant =
  ({ audit, clock, endings }: Deps) =>
  async ({ app, author, grantId, reason, whenRevoked }: GrantRevocation): Promise<Grant> =>
    changeOnce(audit, author, appScope(app.appId, app.organizationId), async (tx, record) => {
      await lockApp(tx, app.appId)
      const grant = await getGrant(tx, app.appId, grantId)
      const at = new Date(clock.now())
      if (grant.status === 'active') await endGrant(endings, tx, record, grant, { app, author, at }, reason ?? null)
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
  endings: Endings,
  tx: Tx,
  record: RecordEvent,
  grant: GrantView,
  by: EndedBy,
  reason: string | null,
): Promise<void> {
  const { grant_id: id } = grant
  await saveGrant(tx, by.app.appId, id, { status: 'revoked', revoked_at: by.at, revoked_reason: reason })
  const { inFlight } = await endings.announce(tx, record, { type: 'grant', id, reason }, by)
  const changes = inFlight.length === 0 ? [] : [{ field: 'in_flight', from: null, to: JSON.stringify(inFlight) }]
  record(grantEvent(by.author, 'grant.revoked', grant, { changes, reason }))
  await endings.announce(tx, record, { type: 'grant_policy', id, reason: 'grant_revoked' }, by)
}

/** Revokes the grants of a secret, agent or app that ends. */
export const endGrantsWith: OnEnded = async (tx, record, ended, by, endings) => {
  const whose = grantsThatEndWith(ended)
  if (whose === undefined) return
  const reason = `${ended.type}_${ended.reason}`
  for (const grant of await findUnrevokedGrants(tx, by.app.appId, whose)) {
    await endGrant(endings, tx, record, grant, by, reason)
  }
}

function grantsThatEndWith(ended: Ended): Parameters<typeof findUnrevokedGrants>[2] | undefined {
  if (ended.type === 'secret') return { sourceId: ended.id }
  if (ended.type === 'agent') return { agentId: ended.id }
  return ended.type === 'app' && ended.reason === 'deleted' ? { all: true } : undefined
}
