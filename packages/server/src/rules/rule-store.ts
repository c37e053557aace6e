import type {
  listRules as listRulesEndpoint,
  QueryOf,
  Rule,
  RuleManagedBy,
  RuleTarget,
  RuleVersion,
} from '@alter-vault/contracts'
import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'
import { newestFirst } from '../db/newest-first.ts'
import type { NewRow, Row } from '../db/schema.generated.ts'
import { isUuid } from '../kernel/ids.ts'
import type { Page, Placed } from '../kernel/page.ts'
import { shownAuthor } from '../management/index.ts'

/*
 * Every statement about stored rules. An organization's rules live in a table of their own; their earlier versions share
 * rule_versions with those of the apps, under the organization's id.
 */

export type RuleRow = Row<'rules'>
export type OrganizationRuleRow = Row<'organization_rules'>

/** Where a set of rules lives: an app, or an organization. */
export type RuleHome =
  | { kind: 'app'; appId: string; organizationId: string }
  | { kind: 'organization'; organizationId: string }

export const scopeIdOf = (home: RuleHome): string => (home.kind === 'app' ? home.appId : home.organizationId)

export type RuleColumns = {
  rule_id: string
  version: number
  target: RuleTarget
  type: string
  name: string
  description: string | null
  body: unknown
  body_version: number
  enabled: boolean
  mode: 'enforce' | 'shadow'
  expires_at: Date | null
  managed_by: RuleManagedBy
  created_by: string
  created_at: Date
  updated_by: string
  updated_at: Date
}

export async function insertRule(tx: Tx, home: RuleHome, rule: RuleColumns): Promise<void> {
  const { target, expires_at, managed_by, body, ...shared } = rule
  if (home.kind === 'organization') {
    const row: NewRow<'organization_rules'> = {
      ...shared,
      body: JSON.stringify(body),
      organization_id: home.organizationId,
    }
    await tx.insertInto('organization_rules').values(row).execute()
    return
  }
  if (target.type === 'organization') throw new TypeError('an app cannot hold a rule of its organization')
  const row: NewRow<'rules'> = {
    ...shared,
    app_id: home.appId,
    body: JSON.stringify(body),
    target_type: target.type,
    target_id: target.id,
    expires_at,
    managed_by,
  }
  await tx.insertInto('rules').values(row).execute()
}

/** The rule on the wire; undefined when its home has none with this id. */
export async function findRule(
  tx: Tx,
  home: RuleHome,
  ruleId: string,
  options: { lock?: boolean } = {},
): Promise<Rule | undefined> {
  if (!isUuid(ruleId)) return undefined
  if (home.kind === 'organization') {
    let query = tx
      .selectFrom('organization_rules')
      .selectAll()
      .where('organization_id', '=', home.organizationId)
      .where('rule_id', '=', ruleId)
    if (options.lock) query = query.forNoKeyUpdate()
    const row = await query.executeTakeFirst()
    return row && organizationRule(row)
  }
  let query = tx.selectFrom('rules').selectAll().where('app_id', '=', home.appId).where('rule_id', '=', ruleId)
  if (options.lock) query = query.forNoKeyUpdate()
  const row = await query.executeTakeFirst()
  return row && appRule(row)
}

export type RuleChange = Partial<
  Pick<RuleColumns, 'name' | 'description' | 'body' | 'body_version' | 'enabled' | 'mode' | 'expires_at'>
>

/** Writes the given columns and counts the version up. */
export async function saveRule(
  tx: Tx,
  home: RuleHome,
  ruleId: string,
  change: RuleChange,
  by: { author: string; at: Date },
): Promise<void> {
  const { body, expires_at, ...plain } = change
  const set = {
    ...plain,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    updated_by: by.author,
    updated_at: by.at,
    version: sql<number>`version + 1`,
  }
  if (home.kind === 'organization') {
    await tx
      .updateTable('organization_rules')
      .set(set)
      .where('organization_id', '=', home.organizationId)
      .where('rule_id', '=', ruleId)
      .execute()
    return
  }
  await tx
    .updateTable('rules')
    .set({ ...set, ...(expires_at === undefined ? {} : { expires_at }) })
    .where('app_id', '=', home.appId)
    .where('rule_id', '=', ruleId)
    .execute()
}

export async function removeRule(tx: Tx, home: RuleHome, ruleId: string): Promise<void> {
  if (home.kind === 'organization') {
    await tx
      .deleteFrom('organization_rules')
      .where('organization_id', '=', home.organizationId)
      .where('rule_id', '=', ruleId)
      .execute()
    return
  }
  await tx.deleteFrom('rules').where('app_id', '=', home.appId).where('rule_id', '=', ruleId).execute()
}

/** How many earlier versions of one rule are kept. */
const KEPT_VERSIONS = 100

/** Keeps a version that is about to be replaced or deleted; the oldest of more than 100 goes. */
export async function keepVersion(tx: Tx, home: RuleHome, rule: Rule, by: { author: string; at: Date }): Promise<void> {
  await tx
    .insertInto('rule_versions')
    .values({
      scope_id: scopeIdOf(home),
      rule_id: rule.id,
      version: rule.version,
      snapshot: JSON.stringify(rule),
      replaced_by: by.author,
      replaced_at: by.at,
    })
    .execute()
  await tx
    .deleteFrom('rule_versions')
    .where('scope_id', '=', scopeIdOf(home))
    .where('rule_id', '=', rule.id)
    .where('version', '<=', rule.version - KEPT_VERSIONS)
    .execute()
}

export async function findVersion(tx: Tx, home: RuleHome, ruleId: string, version: number): Promise<Rule | undefined> {
  if (!isUuid(ruleId)) return undefined
  const row = await tx
    .selectFrom('rule_versions')
    .select('snapshot')
    .where('scope_id', '=', scopeIdOf(home))
    .where('rule_id', '=', ruleId)
    .where('version', '=', version)
    .executeTakeFirst()
  return row && (row.snapshot as Rule)
}

/** The highest version that was ever replaced or deleted; 0 when none was. */
export async function findLastVersion(tx: Tx, home: RuleHome, ruleId: string): Promise<number> {
  const row = await tx
    .selectFrom('rule_versions')
    .select('version')
    .where('scope_id', '=', scopeIdOf(home))
    .where('rule_id', '=', ruleId)
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.version ?? 0
}

/** Earlier versions, newest first, one more than the page holds. */
export async function listVersions(tx: Tx, home: RuleHome, ruleId: string, page: Page): Promise<Placed<RuleVersion>[]> {
  let query = tx
    .selectFrom('rule_versions')
    .selectAll()
    .select(sql<string>`replaced_at::text`.as('place_at'))
    .where('scope_id', '=', scopeIdOf(home))
    .where('rule_id', '=', ruleId)
  if (page.after !== undefined) query = query.where('version', '<', versionOfPlace(page.after.id))
  const rows = await query
    .orderBy('version', 'desc')
    .limit(page.limit + 1)
    .execute()
  return rows.map((row) => ({
    version: row.version,
    rule: row.snapshot as Rule,
    replaced_by: shownAuthor(row.replaced_by),
    replaced_at: row.replaced_at.toISOString(),
    place_at: row.place_at,
    place_id: placeOfVersion(row.version),
  }))
}

/** The place of a version in its list: versions are ordered by number, and a cursor holds ids. */
const placeOfVersion = (version: number): string => `00000000-0000-0000-0000-${version.toString(16).padStart(12, '0')}`

const versionOfPlace = (id: string): number => Math.min(Number.parseInt(id.slice(24), 16), 2 ** 31 - 1)

export async function countRules(tx: Tx, home: RuleHome, target?: RuleTarget): Promise<number> {
  if (home.kind === 'organization') {
    const { n } = await tx
      .selectFrom('organization_rules')
      .select(sql<number>`count(*)::int`.as('n'))
      .where('organization_id', '=', home.organizationId)
      .executeTakeFirstOrThrow()
    return n
  }
  let query = tx.selectFrom('rules').select(sql<number>`count(*)::int`.as('n')).where('app_id', '=', home.appId)
  if (target !== undefined && target.type !== 'organization') {
    query = query.where('target_type', '=', target.type).where('target_id', '=', target.id)
  }
  return (await query.executeTakeFirstOrThrow()).n
}

/** The rules on one target, by id; only those of one manager when it is named. */
export async function findRulesOf(
  tx: Tx,
  appId: string,
  target: RuleTarget,
  managedBy?: RuleManagedBy,
): Promise<Rule[]> {
  if (target.type === 'organization') {
    const rows = await tx
      .selectFrom('organization_rules')
      .selectAll()
      .where('organization_id', '=', target.id)
      .orderBy('rule_id')
      .execute()
    return rows.map(organizationRule)
  }
  let query = tx
    .selectFrom('rules')
    .selectAll()
    .where('app_id', '=', appId)
    .where('target_type', '=', target.type)
    .where('target_id', '=', target.id)
  if (managedBy !== undefined) query = query.where('managed_by', '=', managedBy)
  return (await query.orderBy('rule_id').execute()).map(appRule)
}

export type RuleFilter = Omit<QueryOf<typeof listRulesEndpoint>, 'limit' | 'cursor'>

/** Rules of an app or organization, newest first, one more than the page holds. */
export async function listRules(tx: Tx, home: RuleHome, filter: RuleFilter, page: Page): Promise<Placed<Rule>[]> {
  if (home.kind === 'organization') {
    const query = tx.selectFrom('organization_rules').selectAll().where('organization_id', '=', home.organizationId)
    return (await newestFirst(query, { id: 'rule_id' }, page)).map((row) => placed(row, organizationRule(row)))
  }
  let query = tx.selectFrom('rules').selectAll().where('app_id', '=', home.appId)
  if (filter.target_type !== undefined) query = query.where(sql<boolean>`target_type = ${filter.target_type}`)
  if (filter.target_id !== undefined) query = query.where('target_id', '=', filter.target_id)
  if (filter.type !== undefined) query = query.where('type', '=', filter.type)
  if (filter.mode !== undefined) query = query.where('mode', '=', filter.mode)
  if (filter.enabled !== undefined) query = query.where('enabled', '=', filter.enabled)
  if (filter.managed_by !== undefined) query = query.where('managed_by', '=', filter.managed_by)
  return (await newestFirst(query, { id: 'rule_id' }, page)).map((row) => placed(row, appRule(row)))
}

const placed = ({ place_at, place_id }: Placed<unknown>, rule: Rule): Placed<Rule> => ({ ...rule, place_at, place_id })

function appRule(row: RuleRow): Rule {
  return {
    ...shared(row),
    target: { type: row.target_type, id: row.target_id },
    expires_at: row.expires_at?.toISOString() ?? null,
    managed_by: row.managed_by,
  }
}

function organizationRule(row: OrganizationRuleRow): Rule {
  return {
    ...shared(row),
    target: { type: 'organization', id: row.organization_id },
    expires_at: null,
    managed_by: 'operator',
  }
}

function shared(row: RuleRow | OrganizationRuleRow): Omit<Rule, 'target' | 'expires_at' | 'managed_by'> {
  return {
    id: row.rule_id,
    version: row.version,
    type: row.type as Rule['type'],
    name: row.name,
    description: row.description ?? '',
    body: row.body as Record<string, unknown>,
    body_version: row.body_version,
    enabled: row.enabled,
    mode: row.mode,
    created_by: shownAuthor(row.created_by),
    created_at: row.created_at.toISOString(),
    updated_by: shownAuthor(row.updated_by),
    updated_at: row.updated_at.toISOString(),
  }
}
