import type { Rule, RuleTarget } from '@alter-vault/contracts'
import * as contract from '@alter-vault/contracts'
import { readEpoch } from '../apps/index.ts'
import type { Database, Tx } from '../db/database.ts'
import { findGrantTargets } from '../grants/index.ts'
import type { BoundEndpoint } from '../http/bind-endpoint.ts'
import type { Clock } from '../kernel/clock.ts'
import { type Page, parsePage, toPage } from '../kernel/page.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type AppRef, bindForOperators, refuseTokens } from '../management/index.ts'
import { validateRule } from '../policy/validate-rule.ts'
import { findRule, findRulesOf, listRules, listVersions, type RuleFilter, type RuleHome } from './rule-store.ts'
import { ruleNotFound, type WriteRules } from './write-rule.ts'

type Deps = {
  db: Pick<Database, 'forApp' | 'forOrganization'>
  clock: Clock
  writeRules: WriteRules
}

const homeOf = (app: AppRef): RuleHome => ({ kind: 'app', ...app })

/** Rules of apps, and the organization's rules as far as a token may go: reading. */
export function createRuleRoutes({ db, clock, writeRules }: Deps): BoundEndpoint[] {
  const within = <T>(home: RuleHome, read: (tx: Tx) => Promise<T>): Promise<T> =>
    home.kind === 'app' ? db.forApp(home.appId, read) : db.forOrganization(home.organizationId, read)

  async function getRule(home: RuleHome, ruleId: string): Promise<Rule> {
    const rule = await within(home, (tx) => findRule(tx, home, ruleId))
    if (rule === undefined) throw ruleNotFound()
    return rule
  }

  async function list(home: RuleHome, filter: RuleFilter, page: Page) {
    const rows = await within(home, (tx) => listRules(tx, home, filter, page))
    return toPage(rows, page, (rule) => rule)
  }

  return [
    bindForOperators(contract.listRules, async ({ app, query }) => list(homeOf(app), query, parsePage(query))),
    bindForOperators(contract.createRule, async ({ app, body }, author) => {
      const { target, body_version: _, ...rule } = body
      return writeRules.createRule({ home: homeOf(app), author, target, ...rule })
    }),
    bindForOperators(contract.showRule, async ({ app, params }) => getRule(homeOf(app), params.rule_id)),
    bindForOperators(contract.updateRule, async ({ app, params, body, expectedVersion }, author) => {
      const { body_version: _, ...change } = body
      return writeRules.updateRule({
        home: homeOf(app),
        author,
        ruleId: params.rule_id,
        expectedVersion,
        change,
      })
    }),
    bindForOperators(contract.deleteRule, async ({ app, params, expectedVersion }, author) =>
      writeRules.deleteRule({ home: homeOf(app), author, ruleId: params.rule_id, expectedVersion }),
    ),
    bindForOperators(contract.listRuleVersions, async ({ app, params, query }) => {
      const home = homeOf(app)
      const page = parsePage(query)
      return within(home, async (tx) => {
        const rows = await listVersions(tx, home, params.rule_id, page)
        if (rows.length === 0 && (await findRule(tx, home, params.rule_id)) === undefined) throw ruleNotFound()
        return toPage(rows, page, (version) => version)
      })
    }),
    bindForOperators(contract.restoreRule, async ({ app, params, body }, author) =>
      writeRules.restoreRule({
        home: homeOf(app),
        author,
        ruleId: params.rule_id,
        version: body.version,
      }),
    ),
    bindForOperators(contract.showPolicy, async ({ app: { appId, organizationId }, query }) =>
      db.forApp(appId, async (tx) => {
        const grant = query.grant_id === undefined ? undefined : await findGrantTargets(tx, appId, query.grant_id)
        if (query.grant_id !== undefined && grant === undefined) {
          throw new VaultError('not_found', { message: 'There is no grant with this id.' })
        }
        const ids: [RuleTarget['type'], string | null | undefined][] = [
          ['organization', organizationId],
          ['app', appId],
          ['provider', query.provider_id ?? grant?.providerId],
          ['agent', query.agent_id ?? grant?.agentId],
          ['grant', query.grant_id],
          ['key', query.key_id],
        ]
        const targets: { target: RuleTarget; rules: Rule[] }[] = []
        for (const [type, id] of ids) {
          if (id == null) continue
          const target = { type, id }
          targets.push({ target, rules: await findRulesOf(tx, appId, target) })
        }
        return { policy_epoch: await readEpoch(tx, appId), targets }
      }),
    ),
    bindForOperators(contract.validateRules, async ({ body }) => {
      const results = body.rules.map((rule) => {
        const { errors, warnings } = validateRule(rule, clock.now())
        return { valid: errors.length === 0, errors, warnings }
      })
      return { valid: results.every((result) => result.valid), results }
    }),
    bindForOperators(contract.listOrganizationRules, async ({ params, query }) =>
      list({ kind: 'organization', organizationId: params.organization_id }, {}, parsePage(query)),
    ),
    bindForOperators(contract.showOrganizationRule, async ({ params }) =>
      getRule({ kind: 'organization', organizationId: params.organization_id }, params.rule_id),
    ),
    refuseTokens(contract.createOrganizationRule),
    refuseTokens(contract.updateOrganizationRule),
    refuseTokens(contract.deleteOrganizationRule),
  ]
}
