import Type from 'typebox'
import { operator } from './access.ts'
import { managementApi } from './api.ts'
import { audited, noAudit, readsConfiguration } from './endpoint.ts'
import { ListOf, PathId, pageQuery } from './list.ts'
import { Nullable, ProviderId, Timestamp, Uuid } from './primitives.ts'
import {
  CreateRule,
  Rule,
  RuleManagedBy,
  RuleMode,
  RuleRemark,
  RuleTarget,
  RuleTargetType,
  RuleType,
  UpdateRule,
} from './rule.ts'

/** A rule as it was written, with what an operator should know about it. */
export const WrittenRule = Type.Object({ ...Rule.properties, warnings: Type.Array(RuleRemark) })
/** An earlier version of a rule and who replaced it. */
export const RuleVersion = Type.Object({
  version: Type.Integer({ minimum: 1 }),
  rule: Rule,
  replaced_by: Nullable(Type.String()),
  replaced_at: Timestamp,
})
export type RuleVersion = Type.Static<typeof RuleVersion>

const tag = 'rules'
/** The highest version that the store can count to. */
const MAX_VERSION = 2_147_483_647
const reads = { method: 'GET', tag, access: operator({ scope: 'app_policy:read' }), audit: readsConfiguration } as const
const write = operator({ scope: 'app_policy:write' })
const inApp = Type.Object({ app_id: PathId })
const params = Type.Object({ app_id: PathId, rule_id: PathId })

export const listRules = managementApi.defineEndpoint({
  ...reads,
  id: 'list_rules',
  path: '/api/v1/apps/:app_id/rules',
  summary: 'List the rules of an app',
  params: inApp,
  query: Type.Object({
    ...pageQuery,
    target_type: Type.Optional(RuleTargetType),
    target_id: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
    type: Type.Optional(RuleType),
    mode: Type.Optional(RuleMode),
    enabled: Type.Optional(Type.Boolean()),
    managed_by: Type.Optional(RuleManagedBy),
  }),
  success: ListOf(Rule),
})

export const createRule = managementApi.defineEndpoint({
  id: 'create_rule',
  method: 'POST',
  path: '/api/v1/apps/:app_id/rules',
  repeatable: true,
  summary: 'Add a rule to an app, provider, agent, grant or key',
  tag,
  access: write,
  params: inApp,
  /** `target` is checked apart, so that two targets or none are `invalid_target`. */
  body: Type.Object({ ...CreateRule.properties, target: Type.Optional(Type.Unknown()) }),
  example: {
    target: { type: 'app', id: '018f5a3c-7b21-7c4e-9a55-0c2f6d1e8b90' },
    type: 'require_approval',
    name: 'Refunds need approval',
    body: { effect: 'require_approval', approval: { quorum: 1 }, when: { method: 'POST', path: '/v1/refunds' } },
  },
  success: WrittenRule,
  status: 201,
  errors: ['cidr_too_wide', 'conflict', 'invalid_cel', 'invalid_cidr', 'invalid_rule_body', 'invalid_target'],
  audit: audited('rule.created'),
  versioned: true,
})

export const showRule = managementApi.defineEndpoint({
  ...reads,
  id: 'show_rule',
  path: '/api/v1/apps/:app_id/rules/:rule_id',
  summary: 'Show a rule',
  params,
  success: Rule,
  versioned: true,
})

export const updateRule = managementApi.defineEndpoint({
  id: 'update_rule',
  method: 'PATCH',
  path: '/api/v1/apps/:app_id/rules/:rule_id',
  summary: 'Change a rule; its target and type stay',
  tag,
  access: write,
  params,
  body: UpdateRule,
  example: { enabled: false },
  success: WrittenRule,
  errors: ['cidr_too_wide', 'conflict', 'invalid_cel', 'invalid_cidr', 'invalid_rule_body'],
  audit: audited('rule.updated'),
  versioned: true,
})

export const deleteRule = managementApi.defineEndpoint({
  id: 'delete_rule',
  method: 'DELETE',
  path: '/api/v1/apps/:app_id/rules/:rule_id',
  summary: 'Delete a rule; its versions stay readable',
  tag,
  access: write,
  params,
  success: Type.Object({ id: Uuid, deleted: Type.Literal(true) }),
  errors: ['conflict'],
  audit: audited('rule.deleted'),
  versioned: true,
})

export const listRuleVersions = managementApi.defineEndpoint({
  ...reads,
  id: 'list_rule_versions',
  path: '/api/v1/apps/:app_id/rules/:rule_id/versions',
  summary: 'List the earlier versions of a rule, newest first',
  params,
  query: Type.Object(pageQuery),
  success: ListOf(RuleVersion),
})

export const restoreRule = managementApi.defineEndpoint({
  id: 'restore_rule',
  method: 'POST',
  path: '/api/v1/apps/:app_id/rules/:rule_id/restore',
  repeatable: true,
  summary: 'Make an earlier version of a rule its newest one; a deleted rule comes back',
  tag,
  access: write,
  params,
  body: Type.Object({ version: Type.Integer({ minimum: 1, maximum: MAX_VERSION }) }),
  example: { version: 1 },
  success: WrittenRule,
  errors: ['conflict', 'invalid_cel', 'invalid_rule_body'],
  audit: audited('rule.restored'),
  versioned: true,
})

export const showPolicy = managementApi.defineEndpoint({
  ...reads,
  id: 'show_policy',
  path: '/api/v1/apps/:app_id/policy',
  summary: 'The rules that meet a call, in the order of their targets',
  params: inApp,
  query: Type.Object({
    provider_id: Type.Optional(ProviderId),
    agent_id: Type.Optional(Uuid),
    grant_id: Type.Optional(Uuid),
    key_id: Type.Optional(Uuid),
  }),
  success: Type.Object({
    policy_epoch: Type.Integer(),
    targets: Type.Array(Type.Object({ target: RuleTarget, rules: Type.Array(Rule) })),
  }),
})

export const validateRules = managementApi.defineEndpoint({
  id: 'validate_rules',
  method: 'POST',
  path: '/api/v1/apps/:app_id/policy/validate',
  summary: 'Check rules without storing them',
  tag,
  access: reads.access,
  params: inApp,
  body: Type.Object({
    rules: Type.Array(
      Type.Object({ type: Type.String({ maxLength: 64 }), body: Type.Record(Type.String(), Type.Unknown()) }),
      {
        minItems: 1,
        maxItems: 100,
      },
    ),
  }),
  example: { rules: [{ type: 'json_match', body: { when: { method: 'DELETE' }, effect: 'deny' } }] },
  success: Type.Object({
    valid: Type.Boolean(),
    results: Type.Array(
      Type.Object({ valid: Type.Boolean(), errors: Type.Array(RuleRemark), warnings: Type.Array(RuleRemark) }),
    ),
  }),
  audit: noAudit('stores nothing'),
})

const organizationParams = Type.Object({ organization_id: PathId })
const organizationRuleParams = Type.Object({ organization_id: PathId, rule_id: PathId })
const organizationReads = { ...reads, access: operator({ scope: 'org:read' }) } as const

export const listOrganizationRules = managementApi.defineEndpoint({
  ...organizationReads,
  id: 'list_organization_rules',
  path: '/api/v1/organizations/:organization_id/rules',
  summary: 'List the rules that hold in every app of the organization',
  params: organizationParams,
  query: Type.Object(pageQuery),
  success: ListOf(Rule),
})

export const showOrganizationRule = managementApi.defineEndpoint({
  ...organizationReads,
  id: 'show_organization_rule',
  path: '/api/v1/organizations/:organization_id/rules/:rule_id',
  summary: 'Show a rule of the organization',
  params: organizationRuleParams,
  success: Rule,
  versioned: true,
})

const interactive = {
  tag,
  access: operator({ scope: null, inPerson: true }),
  success: Type.Object({}),
  audit: noAudit('refuses every token: an organization rule is written by a member in person'),
} as const

/** No token writes organization rules: 403 `interactive_session_required`. */
export const createOrganizationRule = managementApi.defineEndpoint({
  id: 'create_organization_rule',
  method: 'POST',
  path: '/api/v1/organizations/:organization_id/rules',
  summary: 'Add a rule that holds in every app',
  params: organizationParams,
  ...interactive,
})
export const updateOrganizationRule = managementApi.defineEndpoint({
  id: 'update_organization_rule',
  method: 'PATCH',
  path: '/api/v1/organizations/:organization_id/rules/:rule_id',
  summary: 'Change a rule of the organization',
  params: organizationRuleParams,
  ...interactive,
})
export const deleteOrganizationRule = managementApi.defineEndpoint({
  id: 'delete_organization_rule',
  method: 'DELETE',
  path: '/api/v1/organizations/:organization_id/rules/:rule_id',
  summary: 'Delete a rule of the organization',
  params: organizationRuleParams,
  ...interactive,
})
