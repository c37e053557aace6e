import type { Agent, AgentScopes, listAgents as listAgentsEndpoint, QueryOf } from '@alter-vault/contracts'
import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'
import { newestFirst } from '../db/newest-first.ts'
import type { NewRow, Row } from '../db/schema.generated.ts'
import { isUuid } from '../kernel/ids.ts'
import type { Page, Placed } from '../kernel/page.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { shownAuthor } from '../management/index.ts'
import { agentMayUse, type StoredScopes, scopesInForce } from './agent-scopes.ts'

export type AgentRow = Row<'agents'>
/** An agent with when it was last used. */
export type SeenAgent = AgentRow & { last_used_at: Date | null }

export const agentNotFound = (): VaultError =>
  new VaultError('agent_not_found', { message: 'There is no agent with this id.' })

const lastUse = sql<Date | null>`(select u.used_at from last_uses u where u.app_id = agents.app_id
  and u.subject = 'agent:' || agents.agent_id)`.as('last_used_at')

export async function insertAgent(tx: Tx, row: NewRow<'agents'>): Promise<void> {
  await tx.insertInto('agents').values(row).execute()
}

/** An agent in any state; undefined when the app has none with this id. */
export async function findAgent(
  tx: Tx,
  appId: string,
  agentId: string,
  options: { lock?: boolean } = {},
): Promise<SeenAgent | undefined> {
  if (!isUuid(agentId)) return undefined
  let query = tx
    .selectFrom('agents')
    .selectAll()
    .select(lastUse)
    .where('app_id', '=', appId)
    .where('agent_id', '=', agentId)
  if (options.lock) query = query.forNoKeyUpdate()
  return query.executeTakeFirst()
}

/** Refusal: `agent_not_found`. */
export async function getAgent(
  tx: Tx,
  appId: string,
  agentId: string,
  options: { lock?: boolean } = {},
): Promise<SeenAgent> {
  const agent = await findAgent(tx, appId, agentId, options)
  if (agent === undefined) throw agentNotFound()
  return agent
}

/** An agent that is not revoked, locked. Refusals: `agent_not_found`, `conflict`. */
export async function lockLiveAgent(tx: Tx, appId: string, agentId: string): Promise<SeenAgent> {
  const agent = await getAgent(tx, appId, agentId, { lock: true })
  if (agent.status === 'revoked') {
    throw new VaultError('conflict', { message: 'This agent was revoked, which is final.' })
  }
  return agent
}

/** Writes the given columns and counts the version up. */
export async function saveAgent(
  tx: Tx,
  appId: string,
  agentId: string,
  columns: Partial<Pick<AgentRow, 'display_name' | 'status' | 'rate_limit_per_minute'>> & {
    metadata?: object
    policy?: object
    scopes?: StoredScopes
  },
): Promise<void> {
  const { metadata, policy, scopes, ...plain } = columns
  await tx
    .updateTable('agents')
    .set({
      ...plain,
      metadata: metadata && JSON.stringify(metadata),
      policy: policy && JSON.stringify(policy),
      scopes: scopes && JSON.stringify(scopes.scopes),
      scopes_pending: scopes?.scopesPending && JSON.stringify(scopes.scopesPending),
      scopes_applies_at: scopes?.scopesAppliesAt,
      version: sql<number>`version + 1`,
    })
    .where('app_id', '=', appId)
    .where('agent_id', '=', agentId)
    .execute()
}

export async function countAgents(tx: Tx, appId: string): Promise<number> {
  const { n } = await tx
    .selectFrom('agents')
    .select(sql<number>`count(*)::int`.as('n'))
    .where('app_id', '=', appId)
    .where('status', '<>', 'revoked')
    .executeTakeFirstOrThrow()
  return n
}

export async function findUnrevokedAgentIds(tx: Tx, appId: string): Promise<string[]> {
  const rows = await tx
    .selectFrom('agents')
    .select('agent_id')
    .where('app_id', '=', appId)
    .where('status', '<>', 'revoked')
    .orderBy('agent_id')
    .execute()
  return rows.map((row) => row.agent_id)
}

/** `provider` is a provider id, or the slug of a managed secret, that the agent may use. */
export type AgentFilter = Pick<QueryOf<typeof listAgentsEndpoint>, 'status' | 'type' | 'provider' | 'search'>

/** Agents of an app, newest first, one more than the page holds. */
export async function listAgents(
  tx: Tx,
  appId: string,
  filter: AgentFilter,
  page: Page,
  at: Date,
): Promise<Placed<SeenAgent>[]> {
  let query = tx.selectFrom('agents').selectAll().select(lastUse).where('app_id', '=', appId)
  if (filter.status !== undefined) query = query.where('status', '=', filter.status)
  if (filter.type !== undefined) query = query.where('type', '=', filter.type)
  if (filter.provider !== undefined) {
    // Narrows only: what a map lets an agent use, agentMayUse says below.
    query = query.where(
      sql<boolean>`strpos(concat(scopes, scopes_pending), to_jsonb(${filter.provider}::text)::text) > 0`,
    )
  }
  if (filter.search !== undefined) {
    query = query.where(
      sql<boolean>`(strpos(name, lower(${filter.search})) > 0 or strpos(lower(coalesce(display_name, '')), lower(${filter.search})) > 0)`,
    )
  }
  const { provider } = filter
  if (provider === undefined) return newestFirst(query, { id: 'agent_id' }, page)
  const all = await newestFirst(query, { id: 'agent_id' }, { ...page, limit: ALL_ROWS, offset: 0 })
  const rows = all.filter((row) => {
    const { scopes } = storedScopes(row, at.getTime())
    return GRANT_KINDS.some((kind) => agentMayUse(scopes, { kind, providerId: provider }))
  })
  return rows.slice(page.offset, page.offset + page.limit + 1)
}

const ALL_ROWS = 2 ** 31
const GRANT_KINDS = ['oauth', 'managed_secret'] as const

/** What a row says of its scopes at a moment: a change that is due has been applied. */
export function storedScopes(row: AgentRow, nowMs: number): StoredScopes {
  return scopesInForce(
    {
      scopes: row.scopes as AgentScopes,
      scopesPending: row.scopes_pending as AgentScopes | null,
      scopesAppliesAt: row.scopes_applies_at,
    },
    nowMs,
  )
}

export function toAgent(row: SeenAgent, nowMs: number): Agent {
  const { scopes, scopesPending, scopesAppliesAt } = storedScopes(row, nowMs)
  return {
    id: row.agent_id,
    name: row.name,
    display_name: row.display_name,
    type: row.type,
    status: row.status,
    scopes,
    scopes_pending: scopesPending,
    scopes_applies_at: scopesAppliesAt?.toISOString() ?? null,
    policy: row.policy as Record<string, unknown>,
    metadata: row.metadata as Record<string, unknown>,
    rate_limit_per_minute: row.rate_limit_per_minute,
    version: row.version,
    created_at: row.created_at.toISOString(),
    created_by: shownAuthor(row.created_by),
    last_used_at: row.last_used_at?.toISOString() ?? null,
  }
}
