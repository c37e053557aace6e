import { type sdkListGrants, visibleInstances } from '@alter-vault/contracts'
import type Type from 'typebox'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { SdkCaller } from '../management/index.ts'
import { type GrantState, toSdkGrant } from './grant.ts'
import { countGrants, type GrantFilter, listGrants } from './grant-store.ts'
import { isAgent, refuseUserToken } from './sdk-caller.ts'

const DEFAULT_PAGE = 100
const STATES: readonly GrantState[] = ['active', 'expired', 'revoked', 'deleted']
/** How access ended is not told to agents: to them a grant that was ended is not there. */
const STATES_FOR_AGENTS: readonly GrantState[] = ['active', 'expired']

type ListBody = Type.Static<typeof sdkListGrants.body>
type ListAnswer = Type.Static<typeof sdkListGrants.success>

/**
 * An app's grants, newest first; an agent's own. A key that may read single grants only sees these. Refusal: `jwt_validation_error` for a user's
 * token.
 */
export const listCallerGrants =
  ({ db, clock }: { db: Pick<Database, 'readForApp'>; clock: Clock }) =>
  async (caller: SdkCaller, body: ListBody): Promise<ListAnswer> => {
    refuseUserToken(body.user_token)
    const { limit = DEFAULT_PAGE, offset = 0 } = body
    const visible = isAgent(caller) ? STATES_FOR_AGENTS : STATES
    // A managed secret has no provider account, and a key of agent type that belongs to no agent holds no grant.
    const reachesNothing = body.account !== undefined || (caller.keyType === 'ak' && caller.agentId === null)
    const filter: GrantFilter = {
      states: reachesNothing ? [] : visible.filter((state) => body.status === undefined || state === body.status),
      ids: visibleInstances(caller.scopes, 'grants', 'read'),
      providerId: body.provider_id,
      label: body.label,
      ...(caller.agentId === null ? {} : { principalType: 'agent', principalId: caller.agentId }),
    }
    return db.readForApp(caller.appId, async (tx) => {
      const now = new Date(clock.now())
      const page = { limit, offset, after: undefined, isTruncated: undefined }
      const rows = await listGrants(tx, caller.appId, filter, page, now)
      return {
        grants: rows.slice(0, limit).map((row) => toSdkGrant(row, now)),
        total: await countGrants(tx, caller.appId, filter, now),
        limit,
        offset,
        has_more: rows.length > limit,
      }
    })
  }
