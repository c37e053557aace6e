import { type AppSettings, appSettings } from '@alter-vault/contracts'
import { sql } from 'kysely'
import { type CamelCased, camelCased, snakeCased } from '../db/column-names.ts'
import type { Tx } from '../db/database.ts'
import { newestFirst } from '../db/newest-first.ts'
import type { NewRow, Row } from '../db/schema.generated.ts'
import { isUuid } from '../kernel/ids.ts'
import type { Page, Placed } from '../kernel/page.ts'
import type { GateConfiguration, GateRule } from '../policy/approval-gate.ts'
import {
  type Gate,
  type GateStatus,
  type Group,
  type GroupStatus,
  isLegalMove,
  type RecordedDecision,
  type Whose,
} from './approval.ts'
import { scheduleWork } from './due-work-store.ts'

/*
 * Every statement about held requests, their gates and decisions; about attempts to send them in `attempt-store.ts`. Lock order inside
 * one transaction: group rows by id, then the open attempt. The database's clock is read after the lock, so that what it says about a
 * window is true when the transaction commits.
 */

/** A group as it was read, and the database's clock at that moment. */
export type Held = { group: Group; now: Date }

const GROUP_COLUMNS = [
  'app_id',
  'approval_group_id',
  'executor_approval_id',
  'status',
  'version',
  'action_hash',
  'action_line',
  'grant_id',
  'key_id',
  'agent_id',
  'app_user_id',
  'provider_id',
  'reason',
  'trace_id',
  'policy_epoch',
  'requested_at',
  'expires_at',
  'decided_at',
  'decision_reason',
  'executed_at',
  'execution_error',
  'intent_event_id',
  'result_expires_at',
] as const

const HAS_SEALED_RESULT = sql<boolean>`sealed_result is not null`.as('has_sealed_result')
const REQUEST_ERASED = sql<boolean>`sealed_request is null`.as('request_erased')

/** A list cannot tell its readers more than the database knew at one moment; `clock_timestamp()` moves on within it. */
export const clock = sql<Date>`date_trunc('milliseconds', clock_timestamp())`

/** The database's clock, in whole milliseconds, so that a time survives a journey through JavaScript. */
export async function readClock(tx: Tx): Promise<Date> {
  const { now } = await tx.selectNoFrom(clock.as('now')).executeTakeFirstOrThrow()
  return now
}

/** The app of a gate, without knowing the app: the only table here without row-level security, beside `due_work`. */
export async function findAppOfApproval(tx: Tx, approvalId: string): Promise<string | undefined> {
  const row = await tx
    .selectFrom('approval_routes')
    .select('app_id')
    .where('approval_id', '=', approvalId)
    .executeTakeFirst()
  return row?.app_id
}

/** The group of a gate id or of a group id; what is no id is nobody's. */
export async function findGroupId(tx: Tx, appId: string, id: string): Promise<string | undefined> {
  if (!isUuid(id)) return undefined
  const gate = await tx
    .selectFrom('approval_gates')
    .select('approval_group_id')
    .where('app_id', '=', appId)
    .where('approval_id', '=', id)
    .executeTakeFirst()
  if (gate !== undefined) return gate.approval_group_id
  const group = await tx
    .selectFrom('approval_groups')
    .select('approval_group_id')
    .where('app_id', '=', appId)
    .where('approval_group_id', '=', id)
    .executeTakeFirst()
  return group?.approval_group_id
}

/** One group with its gates and decisions. With `lock` nobody else can move it before this transaction ends. */
export async function findGroup(
  tx: Tx,
  appId: string,
  approvalGroupId: string,
  { lock = false } = {},
): Promise<Held | undefined> {
  const query = tx
    .selectFrom('approval_groups')
    .select(GROUP_COLUMNS)
    .select([HAS_SEALED_RESULT, REQUEST_ERASED])
    .where('app_id', '=', appId)
    .where('approval_group_id', '=', approvalGroupId)
  const row = await (lock ? query.forUpdate() : query).executeTakeFirst()
  if (row === undefined) return undefined
  const now = await readClock(tx)
  const gates = await readGates(tx, appId, [approvalGroupId])
  return { group: toGroup(row, gates.get(approvalGroupId) ?? []), now }
}

export type GroupFilter = {
  status?: GroupStatus | undefined
  agent_id?: string | undefined
  grant_id?: string | undefined
}

/** Newest first, one more than the page shows if there is one. */
export async function listGroups(
  tx: Tx,
  appId: string,
  filter: GroupFilter,
  page: Page,
): Promise<{ rows: Placed<{ group: Group }>[]; now: Date }> {
  let query = tx
    .selectFrom('approval_groups')
    .select(GROUP_COLUMNS)
    .select([HAS_SEALED_RESULT, REQUEST_ERASED])
    .where('app_id', '=', appId)
  if (filter.status !== undefined) query = query.where('status', '=', filter.status)
  if (filter.agent_id !== undefined) query = query.where('agent_id', '=', filter.agent_id)
  if (filter.grant_id !== undefined) query = query.where('grant_id', '=', filter.grant_id)
  const found = await newestFirst(query, { time: 'requested_at', id: 'approval_group_id' }, page)
  const now = await readClock(tx)
  const ids = found.map((row) => row.approval_group_id)
  const gates = await readGates(tx, appId, ids)
  const rows = found.map((row) => ({
    group: toGroup(row, gates.get(row.approval_group_id) ?? []),
    place_at: row.place_at,
    place_id: row.place_id,
  }))
  return { rows, now }
}

type GroupRow = Pick<Row<'approval_groups'>, (typeof GROUP_COLUMNS)[number]> & {
  has_sealed_result: boolean
  request_erased: boolean
}

const toGroup = (row: GroupRow, gates: readonly Gate[] = []): Group => ({ ...camelCased(row), gates })

async function readGates(tx: Tx, appId: string, groupIds: readonly string[]): Promise<Map<string, Gate[]>> {
  if (groupIds.length === 0) return new Map()
  const rows = await tx
    .selectFrom('approval_gates')
    .selectAll()
    .where('app_id', '=', appId)
    .where('approval_group_id', 'in', groupIds)
    .orderBy('approval_group_id')
    .orderBy('position')
    .execute()
  const gateIds = rows.map((row) => row.approval_id)
  const decisions = await readDecisions(tx, appId, gateIds)
  const gates = rows.map((row) => ({
    ...camelCased(row),
    configuration: row.configuration as GateConfiguration,
    rules: row.rules as GateRule[],
    decisions: decisions.get(row.approval_id) ?? [],
  }))
  return Map.groupBy(gates, ({ approvalGroupId }) => approvalGroupId)
}

async function readDecisions(tx: Tx, appId: string, gateIds: readonly string[]) {
  if (gateIds.length === 0) return new Map<string, RecordedDecision[]>()
  const rows = await tx
    .selectFrom('approval_decisions')
    .select(['approval_id', 'approver_key', 'approver_kind', 'decision', 'reason', 'decided_at'])
    .where('app_id', '=', appId)
    .where('approval_id', 'in', gateIds)
    .orderBy('decided_at')
    .orderBy('approver_key')
    .execute()
  return Map.groupBy(rows.map(camelCased), ({ approvalId }) => approvalId)
}

/**
 * What is sealed in the row of one group, which the reader has just seen. Null when it was erased, which only happens some time after
 * the end, or was never there.
 */
export async function readSealed(
  tx: Tx,
  { appId, approvalGroupId }: Pick<Group, 'appId' | 'approvalGroupId'>,
  column: 'sealed_request' | 'sealed_result',
): Promise<Buffer | null> {
  const row = await tx
    .selectFrom('approval_groups')
    .select(column)
    .where('app_id', '=', appId)
    .where('approval_group_id', '=', approvalGroupId)
    .executeTakeFirstOrThrow()
  return row[column] ?? null
}

/** One held request at a time for an app, until the transaction ends: limits and repeats are then counted exactly. */
export async function lockHolding(tx: Tx, appId: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${`approvals:${appId}`}, 0))`.execute(tx)
}

/** Pending requests of the app and of one agent whose window has not ended, and when the first of each kind ends. */
export async function countPending(tx: Tx, appId: string, agentId: string | null, now: Date) {
  const mine = sql`agent_id is not distinct from ${agentId}::uuid`
  return tx
    .selectFrom('approval_groups')
    .select([
      sql<number>`count(*)`.as('app'),
      sql<Date | null>`min(expires_at)`.as('app_until'),
      sql<number>`count(*) filter (where ${mine})`.as('agent'),
      sql<Date | null>`min(expires_at) filter (where ${mine})`.as('agent_until'),
    ])
    .where('app_id', '=', appId)
    .where('status', '=', 'pending')
    .where('expires_at', '>', now)
    .executeTakeFirstOrThrow()
}

/** The newest pending request with the same bytes of the same agent (or of the app itself). */
export async function findPendingTwin(
  tx: Tx,
  twin: { appId: string; agentId: string | null; actionHash: Buffer; now: Date; except?: string },
): Promise<string | undefined> {
  const row = await tx
    .selectFrom('approval_groups')
    .select('approval_group_id')
    .where('app_id', '=', twin.appId)
    .where('status', '=', 'pending')
    .where('expires_at', '>', twin.now)
    .where('action_hash', '=', twin.actionHash)
    .where(sql<boolean>`agent_id is not distinct from ${twin.agentId}::uuid`)
    .$if(twin.except !== undefined, (query) => query.where('approval_group_id', '<>', twin.except!))
    .orderBy('requested_at', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.approval_group_id
}

export type NewGate = Pick<Gate, 'approvalId' | 'configuration' | 'rules' | 'quorum' | 'linkNonce' | 'expiresAt'>
export type NewGroup = Omit<
  CamelCased<NewRow<'approval_groups'>>,
  'status' | 'version' | 'executorApprovalId' | 'sealedRequest' | 'expiresAt'
> & { sealedRequest: Buffer; expiresAt: Date; gates: readonly NewGate[] }

/** Stores a held request with its gates, their routes and the end of its window as due work. */
export async function insertGroup(tx: Tx, { gates, ...group }: NewGroup): Promise<void> {
  const row = { ...group, status: 'pending', executorApprovalId: gates[0]!.approvalId } as const
  await tx.insertInto('approval_groups').values(snakeCased<NewRow<'approval_groups'>>(row)).execute()
  await tx
    .insertInto('approval_gates')
    .values(
      gates.map((gate, position) => ({
        app_id: group.appId,
        approval_id: gate.approvalId,
        approval_group_id: group.approvalGroupId,
        position,
        status: 'pending' as const,
        configuration: JSON.stringify(gate.configuration),
        rules: JSON.stringify(gate.rules),
        quorum: gate.quorum,
        link_nonce: gate.linkNonce,
        expires_at: gate.expiresAt,
      })),
    )
    .execute()
  await tx
    .insertInto('approval_routes')
    .values(gates.map((gate) => ({ approval_id: gate.approvalId, app_id: group.appId })))
    .execute()
  const expiry = { kind: 'approval_expiry', appId: group.appId, subjectId: group.approvalGroupId } as const
  await scheduleWork(tx, expiry, group.expiresAt)
}

export type GroupFields = {
  decidedAt?: Date
  decisionReason?: string | null
  executedAt?: Date
  executionError?: string
  intentEventId?: string
  sealedResult?: Buffer
  resultExpiresAt?: Date
}

/**
 * Moves a group, on condition that it is still as `group` says. Answers the group as it is then, with the gates of before.
 */
export async function moveGroup(tx: Tx, group: Group, to: GroupStatus, fields: GroupFields = {}): Promise<Group> {
  if (!isLegalMove(group.status, to)) throw new Error(`A held request cannot go from ${group.status} to ${to}.`)
  const { sealedResult, ...known } = fields
  const version = await saveGroup(tx, group, { status: to, ...fields })
  const hasSealedResult = group.hasSealedResult || sealedResult !== undefined
  return { ...group, ...known, status: to, version, hasSealedResult }
}

/** Notes the row that the next attempt will write before it sends. The status stays. */
export async function setIntentEvent(tx: Tx, group: Group, intentEventId: string): Promise<Group> {
  return { ...group, intentEventId, version: await saveGroup(tx, group, { intentEventId }) }
}

/** The caller holds the lock of the row, so a lost condition is a mistake of ours and not a race. Answers the new version. */
async function saveGroup(tx: Tx, group: Group, fields: GroupFields & { status?: GroupStatus }): Promise<number> {
  const row = await tx
    .updateTable('approval_groups')
    .set({ ...snakeCased<Partial<Row<'approval_groups'>>>(fields), version: sql<number>`version + 1` })
    .where('app_id', '=', group.appId)
    .where('approval_group_id', '=', group.approvalGroupId)
    .where('status', '=', group.status)
    .where('version', '=', group.version)
    .returning('version')
    .executeTakeFirst()
  if (row === undefined) throw new Error('A held request moved although its row was locked.')
  return row.version
}

/** Ends a gate, under the lock of its group. */
export async function moveGate(
  tx: Tx,
  appId: string,
  gate: Gate,
  to: Exclude<GateStatus, 'pending'>,
  fields: { decidedAt: Date; decisionReason: string | null },
): Promise<Gate> {
  const row = await tx
    .updateTable('approval_gates')
    .set({
      status: to,
      version: sql<number>`version + 1`,
      decided_at: fields.decidedAt,
      decision_reason: fields.decisionReason,
    })
    .where('app_id', '=', appId)
    .where('approval_id', '=', gate.approvalId)
    .where('status', '=', 'pending')
    .where('version', '=', gate.version)
    .returning('version')
    .executeTakeFirst()
  if (row === undefined) throw new Error('A gate moved although the row of its group was locked.')
  return { ...gate, ...fields, status: to, version: row.version }
}

export async function insertDecision(
  tx: Tx,
  appId: string,
  gate: Gate,
  given: RecordedDecision & { actionHash: Buffer; approver: Readonly<Record<string, string | null>> },
): Promise<void> {
  await tx
    .insertInto('approval_decisions')
    .values(
      snakeCased<NewRow<'approval_decisions'>>({
        ...given,
        appId,
        approvalId: gate.approvalId,
        approver: JSON.stringify(given.approver),
      }),
    )
    .execute()
}

/** The column that says whose a group is; null for the app, whose they all are. */
export const OWNER = { grant: 'grant_id', agent: 'agent_id', key: 'key_id', app: null } as const

/** Pending groups of a grant, an agent, a key or the app, by id: the order in which locks are taken. */
export async function findPendingOf(tx: Tx, appId: string, { type, id }: Whose): Promise<string[]> {
  const owner = OWNER[type]
  const rows = await tx
    .selectFrom('approval_groups')
    .select('approval_group_id')
    .where('app_id', '=', appId)
    .where('status', '=', 'pending')
    .$if(owner !== null, (query) => query.where(owner!, '=', id))
    .orderBy('approval_group_id')
    .execute()
  return rows.map((row) => row.approval_group_id)
}

/** True when the grant, the agent, the key or the app has ended, so that its requests must not wait. */
export async function hasEnded(tx: Tx, appId: string, { type, id }: Whose): Promise<boolean> {
  const isAlive = {
    grant: sql`from grants where app_id = ${appId} and grant_id = ${id} and status = 'active'`,
    agent: sql`from agents where app_id = ${appId} and agent_id = ${id} and status <> 'revoked'`,
    key: sql`from keys where app_id = ${appId} and key_id = ${id} and revoked_at is null`,
    app: sql`from apps where app_id = ${appId} and status = 'live'`,
  }[type]
  const { rows } = await sql`select ${isAlive}`.execute(tx)
  return rows.length === 0
}

/** Earlier requests of the same agent (or key) to the same method, host and path, newest first. */
export async function findSimilar(tx: Tx, group: Group, limit: number): Promise<Group[]> {
  const same = sql<boolean>`md5(action_line) = md5(${group.actionLine}) and action_line = ${group.actionLine}`
  const ids = await tx
    .selectFrom('approval_groups')
    .select('approval_group_id')
    .where('app_id', '=', group.appId)
    .where(same)
    .where('approval_group_id', '<>', group.approvalGroupId)
    .where('requested_at', '<=', group.requestedAt)
    .where((on) => (group.agentId === null ? on('key_id', '=', group.keyId) : on('agent_id', '=', group.agentId)))
    .orderBy('requested_at', 'desc')
    .limit(limit)
    .execute()
  const similar: Group[] = []
  for (const { approval_group_id } of ids) {
    const held = await findGroup(tx, group.appId, approval_group_id)
    if (held !== undefined) similar.push(held.group)
  }
  return similar
}

/** Erases an answer whose time is over. True when there was one. */
export async function eraseResult(tx: Tx, appId: string, approvalGroupId: string): Promise<boolean> {
  const row = await tx
    .updateTable('approval_groups')
    .set({ sealed_result: null })
    .where('app_id', '=', appId)
    .where('approval_group_id', '=', approvalGroupId)
    .where('sealed_result', 'is not', null)
    .where('result_expires_at', '<=', clock)
    .returning('approval_group_id')
    .executeTakeFirst()
  return row !== undefined
}

const ENDED = sql<boolean>`status in ('denied', 'expired', 'executed', 'failed')`
const ENDED_AT = sql<Date>`coalesce(executed_at, decided_at, expires_at)`

/** Erases the frozen requests of groups that ended before a time. Returns how many, at most `limit`. */
export async function eraseRequestsEndedBefore(tx: Tx, appId: string, before: Date, limit: number): Promise<number> {
  const due = tx
    .selectFrom('approval_groups')
    .select('approval_group_id')
    .where('app_id', '=', appId)
    .where(ENDED)
    .where('sealed_request', 'is not', null)
    .where(ENDED_AT, '<=', before)
    .orderBy('approval_group_id')
    .limit(limit)
    .forUpdate()
  const { numUpdatedRows } = await tx
    .updateTable('approval_groups')
    .set({ sealed_request: null })
    .where('app_id', '=', appId)
    .where('approval_group_id', 'in', due)
    .executeTakeFirst()
  return Number(numUpdatedRows)
}

/** Deletes groups that ended before a time, with all that belongs to them. Returns how many, at most `limit`. */
export async function deleteGroupsEndedBefore(tx: Tx, appId: string, before: Date, limit: number): Promise<number> {
  const { rows } = await sql`
    with due as (
      select app_id, approval_group_id from approval_groups
      where app_id = ${appId} and ${ENDED} and ${ENDED_AT} <= ${before}
        and (result_expires_at is null or result_expires_at <= ${clock})
      order by approval_group_id limit ${limit} for update
    ), gates as (
      delete from approval_gates g using due where g.app_id = due.app_id and g.approval_group_id = due.approval_group_id
      returning g.app_id, g.approval_id
    ), decisions as (
      delete from approval_decisions d using gates where d.app_id = gates.app_id and d.approval_id = gates.approval_id
    ), routes as (
      delete from approval_routes r using gates where r.approval_id = gates.approval_id
    ), attempts as (
      delete from approval_attempts a using due where a.app_id = due.app_id and a.approval_group_id = due.approval_group_id
    )
    delete from approval_groups g using due where g.app_id = due.app_id and g.approval_group_id = due.approval_group_id
    returning g.approval_group_id`.execute(tx)
  return rows.length
}

/** What the slice reads of the app itself. */
export type AppFacts = {
  organizationId: string
  name: string
  branding: Readonly<Record<string, unknown>>
  settings: AppSettings
}

export async function readApp(tx: Tx, appId: string): Promise<AppFacts> {
  const row = await tx
    .selectFrom('apps')
    .select(['organization_id', 'name', 'branding', 'settings'])
    .where('app_id', '=', appId)
    .executeTakeFirstOrThrow()
  return {
    organizationId: row.organization_id,
    name: row.name,
    branding: row.branding as Record<string, unknown>,
    settings: appSettings(row.settings),
  }
}

/** The name of an agent, also of one that has ended; null when its row is gone. */
export async function readAgentName(tx: Tx, appId: string, agentId: string): Promise<string | null> {
  const row = await tx
    .selectFrom('agents')
    .select('name')
    .where('app_id', '=', appId)
    .where('agent_id', '=', agentId)
    .executeTakeFirst()
  return row?.name ?? null
}

/** Versions of the groups that somebody waits for. A version that grew is a change. */
export async function readVersions(tx: Tx, appId: string, groupIds: readonly string[]): Promise<Map<string, number>> {
  if (groupIds.length === 0) return new Map()
  const rows = await tx
    .selectFrom('approval_groups')
    .select(['approval_group_id', 'version'])
    .where('app_id', '=', appId)
    .where('approval_group_id', 'in', groupIds)
    .execute()
  return new Map(rows.map((row) => [row.approval_group_id, row.version]))
}
