import {
  type CreateRule,
  type ErrorCode,
  RULE_BODY_VERSION,
  type Rule,
  type RuleManagedBy,
  type RuleRemark,
  RuleTarget,
  type UpdateRule,
} from '@alter-vault/contracts'
import { Check } from 'typebox/value'
import { lockApp } from '../apps/index.ts'
import { type AuditLog, appScope, organizationScope, type RecordEvent, type Scope } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { isUuid, newId } from '../kernel/ids.ts'
import { parseFutureInstant } from '../kernel/instant.ts'
import { VaultError } from '../kernel/vault-error.ts'
import {
  assertVersion,
  authorColumn,
  type ChangeAuthor,
  changeOnce,
  changeRow,
  changesBetween,
  changesTo,
  type Ended,
  type ManagedRules,
  type OnEnded,
} from '../management/index.ts'
import { lockOrganization } from '../organizations/index.ts'
import { ruleRefusalCode, validateRule } from '../policy/validate-rule.ts'
import {
  countRules,
  findLastVersion,
  findRule,
  findRulesOf,
  findVersion,
  insertRule,
  keepVersion,
  type RuleChange,
  type RuleHome,
  removeRule,
  saveRule,
} from './rule-store.ts'

export const MAX_RULES_PER_APP = 500
export const MAX_RULES_PER_TARGET = 50
export const MAX_ORGANIZATION_RULES = 100

/** Whether the app has the thing that a rule is to restrict. */
export type TargetExists = (tx: Tx, appId: string, target: RuleTarget) => Promise<boolean>

export type WriteRuleDeps = { audit: Pick<AuditLog, 'change'>; clock: Clock; targetExists: TargetExists }

/** A rule and what an operator should know about it. */
export type WrittenRule = Rule & { warnings: RuleRemark[] }

export type NewRule = Omit<CreateRule, 'target' | 'body_version'> & {
  home: RuleHome
  author: ChangeAuthor
  /** Not yet checked. */
  target: unknown
}

export type RuleUpdate = {
  home: RuleHome
  author: ChangeAuthor
  ruleId: string
  expectedVersion: number
  change: Omit<UpdateRule, 'body_version'>
}

export const ruleNotFound = (): VaultError => new VaultError('not_found', { message: 'There is no rule with this id.' })

/**
 * Adds, changes, removes and brings back rules. Every replaced version stays readable. Refusals: `invalid_target`, `not_found`
 * for a target or rule that the home does not have, `invalid_rule_body` (or `invalid_cel`, `invalid_cidr`, `cidr_too_wide`),
 * `version_conflict`, `conflict` at a limit and for rules that something else manages.
 */
export function createWriteRules({ audit, clock, targetExists }: WriteRuleDeps) {
  async function lockHome(tx: Tx, home: RuleHome): Promise<void> {
    if (home.kind === 'app') await lockApp(tx, home.appId)
    else await lockOrganization(tx, home.organizationId)
  }

  async function assertRoom(tx: Tx, home: RuleHome, target: RuleTarget): Promise<void> {
    const limit = home.kind === 'app' ? MAX_RULES_PER_APP : MAX_ORGANIZATION_RULES
    if ((await countRules(tx, home)) >= limit) throw full(`${limit} rules are the most that one ${home.kind} has.`)
    if (home.kind === 'app' && (await countRules(tx, home, target)) >= MAX_RULES_PER_TARGET) {
      throw full(`${MAX_RULES_PER_TARGET} rules are the most that one target has.`)
    }
  }

  /** Stores a rule whose home is locked and whose body was checked. */
  async function store(
    tx: Tx,
    record: RecordEvent,
    input: Omit<NewRule, 'target' | 'expires_at'> & {
      target: RuleTarget
      expiresAt: Date | null
      managedBy: RuleManagedBy
      ruleId?: string
      version?: number
      event?: 'rule.created' | 'rule.restored'
    },
  ): Promise<Rule> {
    await assertRoom(tx, input.home, input.target)
    const at = new Date(clock.now())
    const ruleId = input.ruleId ?? newId(clock.now())
    const by = authorColumn(input.author)
    await insertRule(tx, input.home, {
      rule_id: ruleId,
      version: input.version ?? 1,
      target: input.target,
      type: input.type,
      name: input.name,
      description: input.description ?? null,
      body: input.body,
      body_version: RULE_BODY_VERSION,
      enabled: input.enabled ?? true,
      mode: input.mode ?? 'enforce',
      expires_at: input.expiresAt,
      managed_by: input.managedBy,
      created_by: by,
      created_at: at,
      updated_by: by,
      updated_at: at,
    })
    const rule = (await findRule(tx, input.home, ruleId))!
    const changes = changesBetween({}, shownColumns(rule))
    record(changeRow(input.author, { event: input.event ?? 'rule.created', type: 'rule', id: ruleId, changes }))
    return rule
  }

  /** Replaces a locked rule by its next version. */
  async function replace(
    tx: Tx,
    record: RecordEvent,
    home: RuleHome,
    author: ChangeAuthor,
    rule: Rule,
    change: RuleChange,
    event: 'rule.updated' | 'rule.restored',
  ): Promise<Rule> {
    const by = { author: authorColumn(author), at: new Date(clock.now()) }
    await keepVersion(tx, home, rule, by)
    await saveRule(tx, home, rule.id, change, by)
    const next = (await findRule(tx, home, rule.id))!
    const changes = changesBetween(shownColumns(rule), shownColumns(next))
    record(changeRow(author, { event, type: 'rule', id: rule.id, changes }))
    return next
  }

  const remove = (tx: Tx, record: RecordEvent, home: RuleHome, author: ChangeAuthor, rule: Rule) =>
    removeWithRow(tx, record, home, rule, { author, at: new Date(clock.now()) })

  async function lockOwnRule(tx: Tx, home: RuleHome, ruleId: string): Promise<Rule> {
    const rule = await findRule(tx, home, ruleId, { lock: true })
    if (rule === undefined) throw ruleNotFound()
    if (rule.managed_by !== 'operator') {
      throw new VaultError('conflict', {
        message: `This rule is managed by ${MANAGERS[rule.managed_by]} and cannot be changed here.`,
      })
    }
    return rule
  }

  async function assertTarget(tx: Tx, home: RuleHome, target: RuleTarget): Promise<void> {
    if (home.kind === 'app' && !(await targetExists(tx, home.appId, target))) {
      throw new VaultError('not_found', { message: `There is no ${target.type} with the id in "target".` })
    }
  }

  return {
    async createRule(input: NewRule): Promise<WrittenRule> {
      const target = parseTarget(input.target, input.home)
      const expiresAt = parseEnd(input.expires_at, clock.now())
      const warnings = checkRule({ ...input, target, expiresAt }, clock.now())
      return changeOnce(audit, input.author, scopeOf(input.home), async (tx, record) => {
        await lockHome(tx, input.home)
        await assertTarget(tx, input.home, target)
        const rule = await store(tx, record, { ...input, target, expiresAt, managedBy: 'operator' })
        return { ...rule, warnings }
      })
    },

    async updateRule({ home, author, ruleId, expectedVersion, change }: RuleUpdate): Promise<WrittenRule> {
      return audit.change(scopeOf(home), async (tx, record) => {
        const rule = await lockOwnRule(tx, home, ruleId)
        assertVersion(rule.version, expectedVersion)
        const { expires_at: end, ...plain } = change
        const expiresAt = end === undefined ? undefined : parseEnd(end, clock.now())
        if (home.kind === 'organization' && expiresAt instanceof Date) throw noEnd()
        // A rule that this version cannot understand can still be renamed and switched off.
        const mustHold = change.body !== undefined || change.enabled === true
        const next = { target: rule.target, type: rule.type, body: change.body ?? rule.body }
        const warnings = mustHold ? checkRule({ ...next, expiresAt: expiresAt ?? null }, clock.now()) : []
        const columns: RuleChange = {
          ...plain,
          ...(change.body === undefined ? {} : { body_version: RULE_BODY_VERSION }),
          ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
        }
        if (changesTo(rule, columns).length === 0) return { ...rule, warnings }
        return { ...(await replace(tx, record, home, author, rule, columns, 'rule.updated')), warnings }
      })
    },

    async deleteRule({
      home,
      author,
      ruleId,
      expectedVersion,
    }: Omit<RuleUpdate, 'change'>): Promise<{ id: string; deleted: true }> {
      return audit.change(scopeOf(home), async (tx, record) => {
        const rule = await lockOwnRule(tx, home, ruleId)
        assertVersion(rule.version, expectedVersion)
        await remove(tx, record, home, author, rule)
        return { id: ruleId, deleted: true as const }
      })
    },

    /** Makes an earlier version the newest one; a deleted rule comes back under its id. */
    async restoreRule({
      home,
      author,
      ruleId,
      version,
    }: Pick<RuleUpdate, 'home' | 'author' | 'ruleId'> & { version: number }): Promise<WrittenRule> {
      return changeOnce(audit, author, scopeOf(home), async (tx, record) => {
        await lockHome(tx, home)
        const old = await findVersion(tx, home, ruleId, version)
        if (old === undefined || old.managed_by !== 'operator') {
          throw new VaultError('not_found', { message: 'There is no such earlier version of this rule.' })
        }
        // An end that is over would switch the restored rule off at once.
        const end = old.expires_at === null ? null : new Date(old.expires_at)
        const expiresAt = end !== null && end.getTime() <= clock.now() ? null : end
        const warnings = checkRule({ ...old, expiresAt }, clock.now())
        if ((await findRule(tx, home, ruleId)) === undefined) {
          await assertTarget(tx, home, old.target)
          const next = (await findLastVersion(tx, home, ruleId)) + 1
          const again = { ...old, home, author, expiresAt, managedBy: 'operator', ruleId, version: next } as const
          const restored = await store(tx, record, { ...again, event: 'rule.restored' })
          return { ...restored, warnings }
        }
        const rule = await lockOwnRule(tx, home, ruleId)
        const { name, description, body, enabled, mode } = old
        const columns = {
          name,
          description,
          body,
          body_version: RULE_BODY_VERSION,
          enabled,
          mode,
          expires_at: expiresAt,
        }
        return { ...(await replace(tx, record, home, author, rule, columns, 'rule.restored')), warnings }
      })
    },

    /** See `ManagedRules`. */
    async replaceManagedRules(...[tx, record, input]: Parameters<ManagedRules['replaceManagedRules']>): Promise<void> {
      const { app, author, target, managedBy, rules } = input
      const home: RuleHome = { kind: 'app', ...app }
      for (const rule of rules) checkRule({ ...rule, target, expiresAt: null }, clock.now(), rule.pointer)
      const present = await findRulesOf(tx, app.appId, target, managedBy)
      for (const rule of present) {
        const wanted = rules.find(({ type }) => type === rule.type)
        if (wanted === undefined) await remove(tx, record, home, author, rule)
        else if (JSON.stringify(wanted.body) !== JSON.stringify(rule.body)) {
          await replace(
            tx,
            record,
            home,
            author,
            rule,
            { body: wanted.body, body_version: RULE_BODY_VERSION },
            'rule.updated',
          )
        }
      }
      for (const rule of rules) {
        if (present.some(({ type }) => type === rule.type)) continue
        const { type, name, body } = rule
        await store(tx, record, { home, author, target, type, name, body, managedBy, expiresAt: null })
      }
    },
  }
}

export type WriteRules = ReturnType<typeof createWriteRules>

/** Deletes every rule on what has ended. Rules on a key stay: they judge what it left waiting. */
export const endRulesWith: OnEnded = async (tx, record, ended, { app, author, at }) => {
  const target = targetThatEndsWith(ended)
  if (target === undefined) return
  const home: RuleHome = { kind: 'app', ...app }
  for (const rule of await findRulesOf(tx, app.appId, target)) {
    await removeWithRow(tx, record, home, rule, { author, at })
  }
}

function targetThatEndsWith({ type, id }: Ended): RuleTarget | undefined {
  if (type === 'agent' || type === 'provider') return { type, id }
  return type === 'grant_policy' ? { type: 'grant', id } : undefined
}

async function removeWithRow(
  tx: Tx,
  record: RecordEvent,
  home: RuleHome,
  rule: Rule,
  { author, at }: { author: ChangeAuthor; at: Date },
): Promise<void> {
  await keepVersion(tx, home, rule, { author: authorColumn(author), at })
  await removeRule(tx, home, rule.id)
  const changes = changesBetween(shownColumns(rule), {})
  record(changeRow(author, { event: 'rule.deleted', type: 'rule', id: rule.id, changes }))
}

const MANAGERS: Record<Exclude<RuleManagedBy, 'operator'>, string> = {
  agent_policy: 'the policy of its agent',
  grant_policy: 'the policy of its grant',
  user: 'the owner of its grant',
}

const scopeOf = (home: RuleHome): Scope =>
  home.kind === 'app' ? appScope(home.appId, home.organizationId) : organizationScope(home.organizationId)

const full = (message: string): VaultError => new VaultError('conflict', { message })
const noEnd = (): VaultError =>
  refuseRule([{ pointer: '/expires_at', code: 'not_allowed_value', message: 'A rule of an organization has no end.' }])

function shownColumns(rule: Rule) {
  const { target, type, name, description, body, enabled, mode, expires_at, managed_by } = rule
  return { target, type, name, description, body, enabled, mode, expires_at, managed_by }
}

/** Exactly one target that can be in this home. Refusal: `invalid_target`. */
function parseTarget(target: unknown, home: RuleHome): RuleTarget {
  if (home.kind === 'organization') return { type: 'organization', id: home.organizationId }
  const message = refuseTarget(target)
  if (message === undefined) return target as RuleTarget
  throw new VaultError('invalid_target', { message, errors: [{ pointer: '/target', code: 'invalid_target', message }] })
}

function refuseTarget(target: unknown): string | undefined {
  if (!Check(RuleTarget, target)) return '"target" must name exactly one thing: {"type", "id"}.'
  if (target.type === 'organization') return 'Rules of an organization are written there, by a member in person.'
  if (target.type !== 'provider' && !isUuid(target.id)) return `"target.id" of type "${target.type}" must be a UUID.`
  return undefined
}

function parseEnd(text: string | null | undefined, nowMs: number): Date | null {
  return text == null ? null : parseFutureInstant(text, '/expires_at', nowMs)
}

/** Refuses a rule that would not compile; answers the warnings of one that does. */
function checkRule(
  rule: { target: RuleTarget; type: string; body: unknown; expiresAt: Date | null },
  nowMs: number,
  pointer = '',
): RuleRemark[] {
  const { target, type, body } = rule
  const verdict = validateRule({ target, type, body, expiresAtMs: rule.expiresAt?.getTime() ?? null }, nowMs)
  // A managed rule's body was written at the pointer itself.
  const place = (remark: RuleRemark) =>
    pointer === '' ? remark : { ...remark, pointer: `${pointer}${remark.pointer.replace(/^\/body/, '')}` }
  if (verdict.errors.length > 0) throw refuseRule(verdict.errors.map(place))
  return verdict.warnings
}

function refuseRule(errors: RuleRemark[]): VaultError {
  const code: ErrorCode = ruleRefusalCode(errors)
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more in "errors")` : ''
  return new VaultError(code, { message: `${errors[0]!.message}${more}`, errors })
}
