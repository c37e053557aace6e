import type { Key, listKeys as listKeysEndpoint, QueryOf } from '@alter-vault/contracts'
import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'
import { newestFirst } from '../db/newest-first.ts'
import type { NewRow } from '../db/schema.generated.ts'
import { isUuid } from '../kernel/ids.ts'
import { createAddressList } from '../kernel/ip-range.ts'
import type { Page, Placed } from '../kernel/page.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { organizationSettings } from '../organizations/index.ts'
import type { AgentFacts, KeyFacts } from './caller-facts.ts'
import { type KeyRow, rateLimitOf, type SeenKey } from './key.ts'

export const keyNotFound = (): VaultError =>
  new VaultError('key_not_found', { message: 'There is no key with this id.' })

const lastUse = sql<Date | null>`(select u.used_at from last_uses u where u.app_id = keys.app_id
  and u.subject = 'key:' || keys.key_id)`.as('last_used_at')

/** Stores a key and the route to it from its digest. */
export async function insertKey(tx: Tx, row: NewRow<'keys'>): Promise<void> {
  await tx.insertInto('keys').values(row).execute()
  await tx.insertInto('key_routes').values({ digest: row.digest, app_id: row.app_id, key_id: row.key_id }).execute()
}

/** Where a presented key is found from its digest. No tenant data: read without a scope. */
export async function findKeyRoute(tx: Tx, digest: Buffer): Promise<{ appId: string; keyId: string } | undefined> {
  const row = await tx.selectFrom('key_routes').selectAll().where('digest', '=', digest).executeTakeFirst()
  return row && { appId: row.app_id, keyId: row.key_id }
}

/** With `lock`, held until the transaction ends. */
export async function findKey(
  tx: Tx,
  appId: string,
  keyId: string,
  { lock = false } = {},
): Promise<SeenKey | undefined> {
  if (!isUuid(keyId)) return undefined
  const query = tx
    .selectFrom('keys')
    .selectAll()
    .select(lastUse)
    .where('app_id', '=', appId)
    .where('key_id', '=', keyId)
  return (lock ? query.forNoKeyUpdate() : query).executeTakeFirst()
}

/** Refusal: `key_not_found`. */
export async function getKey(tx: Tx, appId: string, keyId: string, options?: { lock: boolean }): Promise<SeenKey> {
  const key = await findKey(tx, appId, keyId, options)
  if (key === undefined) throw keyNotFound()
  return key
}

export async function saveKey(
  tx: Tx,
  appId: string,
  keyId: string,
  {
    metadata,
    ...plain
  }: Partial<Pick<KeyRow, 'name' | 'deprecated_at' | 'rotated_to' | 'grace_until'>> & {
    metadata?: object
  },
): Promise<void> {
  const columns = { ...plain, metadata: metadata && JSON.stringify(metadata) }
  await tx.updateTable('keys').set(columns).where('app_id', '=', appId).where('key_id', '=', keyId).execute()
}

/** Ends the life of the keys derived from a key, directly or not, no later than `end`. */
export async function capDescendants(tx: Tx, appId: string, keyId: string, end: Date): Promise<void> {
  await sql`with recursive below as (
      select key_id from keys where app_id = ${appId} and parent_key_id = ${keyId}
      union all
      select k.key_id from keys k join below b on k.parent_key_id = b.key_id where k.app_id = ${appId}
    )
    update keys set expires_at = least(expires_at, ${end}::timestamptz)
    where app_id = ${appId} and key_id in (select key_id from below) and revoked_at is null
      and (expires_at is null or expires_at > ${end}::timestamptz)`.execute(tx)
}

/** Revokes a key and everything derived from it. Returns the ids that were live until now, the key's own first. */
export async function revokeWithDescendants(tx: Tx, appId: string, keyId: string, at: Date): Promise<string[]> {
  const { rows } = await sql<{ key_id: string }>`with recursive tree as (
      select key_id, 0 as depth from keys where app_id = ${appId} and key_id = ${keyId}
      union all
      select k.key_id, t.depth + 1 from keys k join tree t on k.parent_key_id = t.key_id where k.app_id = ${appId}
    ), revoked as (
      update keys set revoked_at = ${at}::timestamptz
      where app_id = ${appId} and key_id in (select key_id from tree) and revoked_at is null returning key_id
    )
    select r.key_id from revoked r join tree t using (key_id) order by t.depth, r.key_id`.execute(tx)
  return rows.map((row) => row.key_id)
}

/** Every key that is not revoked, of the app or of one of its agents. */
export async function findUnrevokedKeyIds(tx: Tx, appId: string, agentId?: string): Promise<string[]> {
  let query = tx.selectFrom('keys').select('key_id').where('app_id', '=', appId).where('revoked_at', 'is', null)
  if (agentId !== undefined) query = query.where('agent_id', '=', agentId)
  const rows = await query.orderBy('key_id').execute()
  return rows.map((row) => row.key_id)
}

/** Forgets the routes of a deleted app: its keys are then unknown. */
export async function deleteKeyRoutes(tx: Tx, appId: string): Promise<void> {
  await tx.deleteFrom('key_routes').where('app_id', '=', appId).execute()
}

/* The states of key.ts as SQL over the table keys; `at` is now. */
const inGrace = (at: Date) => sql<boolean>`(rotated_to is not null and grace_until > ${at}::timestamptz)`
const unexpired = (
  at: Date,
) => sql<boolean>`(revoked_at is null and (expires_at is null or expires_at > ${at}::timestamptz)
  and (rotated_to is null or grace_until > ${at}::timestamptz))`

function inState(state: Key['status'], at: Date) {
  switch (state) {
    case 'revoked':
      return sql<boolean>`revoked_at is not null`
    case 'expired':
      return sql<boolean>`(revoked_at is null and not ${unexpired(at)})`
    case 'rotated_in_grace':
      return sql<boolean>`(${unexpired(at)} and rotated_to is not null)`
    case 'deprecated':
      return sql<boolean>`(${unexpired(at)} and rotated_to is null and deprecated_at is not null)`
    case 'active':
      return sql<boolean>`(${unexpired(at)} and rotated_to is null and deprecated_at is null)`
  }
}

export type KeyFilter = Pick<QueryOf<typeof listKeysEndpoint>, 'status' | 'agent_id' | 'parent_key_id'>

/** Keys of an app, newest first, one more than the page holds. */
export async function listKeys(
  tx: Tx,
  appId: string,
  filter: KeyFilter,
  page: Page,
  at: Date,
): Promise<Placed<SeenKey>[]> {
  let query = tx.selectFrom('keys').selectAll().select(lastUse).where('app_id', '=', appId)
  if (filter.status !== undefined) query = query.where(inState(filter.status, at))
  if (filter.agent_id !== undefined) query = query.where('agent_id', '=', filter.agent_id)
  if (filter.parent_key_id !== undefined) query = query.where('parent_key_id', '=', filter.parent_key_id)
  return newestFirst(query, { id: 'key_id' }, page)
}

export type KeyCounts = { active: number; rotated_in_grace: number; total: number }

/** Keys that count towards the app's limit: live, not derived, not in grace, not of a managed agent. */
export async function countKeys(tx: Tx, appId: string, at: Date): Promise<KeyCounts> {
  const { rows } = await sql<KeyCounts>`select
      count(*) filter (where ${unexpired(at)} and rotated_to is null and key_type <> 'dk' and agent_id is null)::int as active,
      count(*) filter (where ${unexpired(at)} and ${inGrace(at)})::int as rotated_in_grace,
      count(*)::int as total
    from keys where app_id = ${appId}`.execute(tx)
  return rows[0]!
}

/** Live keys of an agent; those in rotation grace and derived ones are not counted. */
export async function countAgentKeys(tx: Tx, appId: string, agentId: string, at: Date): Promise<number> {
  const { rows } = await sql<{ n: number }>`select count(*)::int as n from keys where app_id = ${appId}
    and agent_id = ${agentId} and ${unexpired(at)} and rotated_to is null and key_type <> 'dk'`.execute(tx)
  return rows[0]!.n
}

/**
 * Everything that authentication asks of a key, in one statement and so in one snapshot with the versions it rests on;
 * undefined when the row is gone. Needs the app's scope.
 */
export async function loadKeyForAuthentication(tx: Tx, appId: string, keyId: string): Promise<KeyFacts | undefined> {
  const { rows } = await sql<AuthenticationRow>`
    select k.key_id, k.key_prefix, k.name, k.key_type, k.scopes, k.cidr_allowlist, k.rate_limit_rpm, k.expires_at, k.revoked_at,
      k.deprecated_at, k.rotated_to, k.grace_until, k.agent_id, a.organization_id, a.environment, a.status as app_status,
      o.settings as organization_settings, to_jsonb(g) as agent,
      (select f.version from fences f where f.app_id = k.app_id and f.subject = 'epoch') as epoch_version,
      (select f.version from fences f where f.app_id = k.app_id and f.subject = 'key:' || k.key_id) as key_version,
      (select f.version from fences f where f.app_id = k.app_id and f.subject = 'agent:' || k.agent_id) as agent_version
    from keys k
    join apps a on a.app_id = k.app_id
    join organizations o on o.organization_id = a.organization_id
    left join agents g on g.app_id = k.app_id and g.agent_id = k.agent_id
    where k.app_id = ${appId} and k.key_id = ${keyId}`.execute(tx)
  const row = rows[0]
  if (row === undefined) return undefined
  const { key_policy: policy, rate_limit_rpm: organizationRpm } = organizationSettings(row.organization_settings)
  const agent = row.agent === null ? null : toAgentFacts(row.agent, row.agent_version ?? 0)
  return {
    appId,
    organizationId: row.organization_id,
    appEnvironment: row.environment,
    appStatus: row.app_status,
    organizationRpm,
    keyId: row.key_id,
    keyPrefix: row.key_prefix,
    keyName: row.name,
    keyType: row.key_type,
    scopes: row.scopes,
    addresses: row.cidr_allowlist === null ? null : createAddressList(row.cidr_allowlist),
    rateLimitRpm: rateLimitOf(row, policy).effective_rate_limit_rpm,
    expiresAtMs: row.expires_at?.getTime() ?? null,
    revoked: row.revoked_at !== null,
    deprecated: row.deprecated_at !== null,
    graceUntilMs: row.rotated_to === null ? null : (row.grace_until?.getTime() ?? 0),
    agent,
    versions: [
      { subject: 'epoch', version: row.epoch_version ?? 0 },
      { subject: `key:${row.key_id}`, version: row.key_version ?? 0 },
      ...(agent === null ? [] : [agent.version]),
    ],
  }
}

/** An agent with the version it rests on, in one snapshot; undefined when the app has none with this id. */
export async function loadAgentForCall(tx: Tx, appId: string, agentId: string): Promise<AgentFacts | undefined> {
  const { rows } = await sql<{ agent: AgentJson; version: number | null }>`
    select to_jsonb(g) as agent,
      (select f.version from fences f where f.app_id = g.app_id and f.subject = 'agent:' || g.agent_id) as version
    from agents g where g.app_id = ${appId} and g.agent_id = ${agentId}`.execute(tx)
  const row = rows[0]
  return row && toAgentFacts(row.agent, row.version ?? 0)
}

type AuthenticationRow = Omit<
  KeyRow,
  'app_id' | 'digest' | 'parent_key_id' | 'metadata' | 'created_by' | 'created_at'
> & {
  organization_id: string
  environment: string
  app_status: 'live' | 'archived' | 'deleted'
  organization_settings: unknown
  agent: AgentJson | null
  epoch_version: number | null
  key_version: number | null
  agent_version: number | null
}

/** A row of agents as JSON: times are text. */
type AgentJson = {
  agent_id: string
  name: string
  type: 'agent' | 'service'
  status: 'active' | 'inactive' | 'revoked'
  scopes: Record<string, string[]>
  scopes_pending: Record<string, string[]> | null
  scopes_applies_at: string | null
  rate_limit_per_minute: number | null
}

function toAgentFacts(agent: AgentJson, version: number): AgentFacts {
  return {
    agentId: agent.agent_id,
    name: agent.name,
    type: agent.type,
    status: agent.status,
    scopes: agent.scopes,
    scopesPending: agent.scopes_pending,
    scopesAppliesAtMs: agent.scopes_applies_at === null ? null : Date.parse(agent.scopes_applies_at),
    rateLimitPerMinute: agent.rate_limit_per_minute,
    version: { subject: `agent:${agent.agent_id}`, version },
  }
}
