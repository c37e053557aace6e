import type { AgentScopes } from '@alter-vault/contracts'
import { type RawBuilder, sql } from 'kysely'
import type { StoredScopes } from '../agents/index.ts'
import type { Tx } from '../db/database.ts'
import { isAfter } from '../db/newest-first.ts'
import type { NewRow } from '../db/schema.generated.ts'
import { isUuid } from '../kernel/ids.ts'
import type { Page, Placed } from '../kernel/page.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { GrantRow, GrantState, GrantView, Lifetime } from './grant.ts'

export const grantNotFound = (): VaultError =>
  new VaultError('grant_not_found', { message: 'There is no grant with this id.' })

/** Grants with what lists show of them. Every grant is one row, whatever else is there: what ends grants reads them here, too. */
const viewed = (appId: string): RawBuilder<unknown> => sql`
  select g.*, g.created_at::text as place_at, g.grant_id as place_id, s.name as source_name,
    c.label as credential_label, c.kind as credential_kind, coalesce(a.display_name, a.name) as agent_name,
    (select r.body -> 'approval' from rules r where r.app_id = ${appId} and r.target_type = 'grant'
      and r.target_id = g.grant_id::text and r.managed_by = 'grant_policy' and r.type = 'require_approval' limit 1)
      as requires_approval,
    (select u.used_at from last_uses u where u.app_id = ${appId} and u.subject = 'grant:' || g.grant_id) as last_used_at
  from grants g
  left join managed_secrets s on s.app_id = ${appId} and g.grant_kind = 'managed_secret' and s.managed_secret_id = g.source_id
  left join credentials c on c.app_id = ${appId} and c.credential_id = g.credential_id
  left join agents a on a.app_id = ${appId} and g.principal_type = 'agent' and a.agent_id = g.principal_id`

export async function insertGrant(
  tx: Tx,
  row: Omit<NewRow<'grants'>, 'restrictions'> & { restrictions: object | null },
): Promise<void> {
  const restrictions = row.restrictions && JSON.stringify(row.restrictions)
  await tx
    .insertInto('grants')
    .values({ ...row, restrictions })
    .execute()
}

/** Refusal: `grant_not_found`. */
export async function getGrant(tx: Tx, appId: string, grantId: string): Promise<GrantView> {
  if (!isUuid(grantId)) throw grantNotFound()
  const { rows } = await sql<GrantView>`${viewed(appId)}
    where g.app_id = ${appId} and g.grant_id = ${grantId}`.execute(tx)
  if (rows[0] === undefined) throw grantNotFound()
  return rows[0]
}

/** Writes the given columns and counts the version up. */
export async function saveGrant(
  tx: Tx,
  appId: string,
  grantId: string,
  columns: Partial<Lifetime & Pick<GrantRow, 'label' | 'status' | 'revoked_at' | 'revoked_reason'>> & {
    restrictions?: object | null
  },
): Promise<void> {
  const { restrictions, ...plain } = columns
  await tx
    .updateTable('grants')
    .set({
      ...plain,
      restrictions: restrictions && JSON.stringify(restrictions),
      version: sql<number>`version + 1`,
    })
    .where('app_id', '=', appId)
    .where('grant_id', '=', grantId)
    .execute()
}

/** The grant that holds a label of one principal on one credential, expired or not. Case does not tell labels apart. */
export async function findNamesake(
  tx: Tx,
  appId: string,
  of: Pick<GrantRow, 'credential_id' | 'principal_type' | 'principal_id' | 'label'>,
): Promise<GrantView | undefined> {
  const { rows } = await sql<GrantView>`${viewed(appId)}
    where g.app_id = ${appId} and g.status = 'active' and g.credential_id = ${of.credential_id}
      and g.principal_type = ${of.principal_type} and g.principal_id is not distinct from ${of.principal_id}::uuid
      and lower(coalesce(g.label, '')) = lower(coalesce(${of.label}::text, ''))
    order by g.created_at limit 1`.execute(tx)
  return rows[0]
}

/* The states of grant.ts as SQL; `at` is now. */
function inState(state: GrantState, at: Date): RawBuilder<unknown> {
  switch (state) {
    case 'active':
      return sql`(g.status = 'active' and (g.expires_at is null or g.expires_at > ${at}::timestamptz))`
    case 'expired':
      return sql`(g.status = 'active' and g.expires_at <= ${at}::timestamptz)`
    default:
      return sql`g.status = ${state}`
  }
}

export type GrantFilter = {
  states?: readonly GrantState[] | undefined
  /** Null: whichever. */
  ids?: readonly string[] | null
  sourceId?: string | undefined
  providerId?: string | undefined
  principalType?: GrantRow['principal_type'] | undefined
  principalId?: string | undefined
  label?: string | undefined
  search?: string | undefined
}

function matching(appId: string, filter: GrantFilter, at: Date): RawBuilder<unknown> {
  const { states, ids, sourceId, providerId, principalType, principalId, label, search } = filter
  const conditions = [sql`g.app_id = ${appId}`]
  if (states !== undefined) {
    const any = states.map((state) => inState(state, at))
    conditions.push(any.length === 0 ? sql`false` : sql`(${sql.join(any, sql` or `)})`)
  }
  if (ids) conditions.push(sql`g.grant_id::text = any(${ids}::text[])`)
  if (sourceId !== undefined) conditions.push(sql`g.source_id = ${sourceId}`)
  if (providerId !== undefined) conditions.push(sql`g.provider_id = ${providerId}`)
  if (principalType !== undefined) conditions.push(sql`g.principal_type = ${principalType}`)
  if (principalId !== undefined) conditions.push(sql`g.principal_id = ${principalId}`)
  if (label !== undefined) conditions.push(sql`g.label = ${label}`)
  if (search !== undefined) {
    const texts = [sql`g.label`, sql`g.provider_id`, sql`s.name`, sql`a.name`, sql`a.display_name`]
    const any = texts.map((text) => sql`strpos(lower(coalesce(${text}, '')), lower(${search}::text)) > 0`)
    conditions.push(sql`(${sql.join(any, sql` or `)})`)
  }
  return sql`where ${sql.join(conditions, sql` and `)}`
}

/** Grants of the app, newest first, one more than the page holds. */
export async function listGrants(
  tx: Tx,
  appId: string,
  filter: GrantFilter,
  page: Page,
  at: Date,
): Promise<Placed<GrantView>[]> {
  const after = page.after === undefined ? sql`` : sql`and ${isAfter(sql`g.created_at, g.grant_id`, page.after)}`
  const { rows } = await sql<Placed<GrantView>>`${viewed(appId)} ${matching(appId, filter, at)} ${after}
    order by g.created_at desc, g.grant_id desc limit ${page.limit + 1} offset ${page.offset}`.execute(tx)
  return rows
}

export async function countGrants(tx: Tx, appId: string, filter: GrantFilter, at: Date): Promise<number> {
  const { rows } = await sql<{ n: number }>`select count(*)::int as n
    from (${viewed(appId)} ${matching(appId, filter, at)}) found`.execute(tx)
  return rows[0]!.n
}

/** A live grant with what decides whether its agent may use it. */
export type ReachingGrant = GrantView & {
  agent_status: 'active' | 'inactive' | 'revoked' | null
  agent_scopes: StoredScopes
}

/** The live grants of a source, oldest first. */
export async function findReachingGrants(tx: Tx, appId: string, sourceId: string, at: Date): Promise<ReachingGrant[]> {
  const filter = { states: ['active'], sourceId } as const
  const { rows } = await sql<GrantView & AgentColumns>`
    select found.*, b.status as agent_status, b.scopes, b.scopes_pending, b.scopes_applies_at
    from (${viewed(appId)} ${matching(appId, filter, at)}) found
    left join agents b on b.app_id = ${appId} and found.principal_type = 'agent' and b.agent_id = found.principal_id
    order by found.created_at, found.grant_id`.execute(tx)
  return rows.map(({ scopes, scopes_pending: scopesPending, scopes_applies_at: scopesAppliesAt, ...row }) => ({
    ...row,
    agent_scopes: { scopes: scopes ?? {}, scopesPending, scopesAppliesAt },
  }))
}

type AgentColumns = {
  agent_status: ReachingGrant['agent_status']
  scopes: AgentScopes | null
  scopes_pending: AgentScopes | null
  scopes_applies_at: Date | null
}

/** The grants that are not revoked, of a source, an agent or the whole app; expired ones too. In the order of their ids. */
export async function findUnrevokedGrants(
  tx: Tx,
  appId: string,
  of: { sourceId: string } | { agentId: string } | { all: true },
): Promise<GrantView[]> {
  const whose =
    'sourceId' in of
      ? sql`and g.source_id = ${of.sourceId}`
      : 'agentId' in of
        ? sql`and g.principal_type = 'agent' and g.principal_id = ${of.agentId}`
        : sql``
  const { rows } = await sql<GrantView>`${viewed(appId)}
    where g.app_id = ${appId} and g.status = 'active' ${whose} order by g.grant_id`.execute(tx)
  return rows
}

/** The grants of a source that are not revoked, expired ones too, and the live ones by principal type. */
export async function countGrantsOf(
  tx: Tx,
  appId: string,
  sourceId: string,
  at: Date,
): Promise<{ unrevoked: number; live: Record<string, number> }> {
  const { rows } = await sql<{ principal_type: string; unrevoked: number; live: number }>`
    select g.principal_type, count(*)::int as unrevoked, (count(*) filter (where ${inState('active', at)}))::int as live
    from grants g
    where g.app_id = ${appId} and g.source_id = ${sourceId} and g.status = 'active'
    group by g.principal_type`.execute(tx)
  return {
    unrevoked: rows.reduce((sum, row) => sum + row.unrevoked, 0),
    live: Object.fromEntries(rows.map((row) => [row.principal_type, row.live])),
  }
}

/** What the rules on a grant meet: the provider it is used by and its agent; undefined when the app has no such grant. */
export async function findGrantTargets(
  tx: Tx,
  appId: string,
  grantId: string,
): Promise<{ providerId: string; agentId: string | null } | undefined> {
  if (!isUuid(grantId)) return undefined
  const row = await tx
    .selectFrom('grants')
    .select(['provider_id', 'principal_type', 'principal_id'])
    .where('app_id', '=', appId)
    .where('grant_id', '=', grantId)
    .executeTakeFirst()
  return row && { providerId: row.provider_id, agentId: row.principal_type === 'agent' ? row.principal_id : null }
}
