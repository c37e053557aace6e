import Type from 'typebox'
import { Email, Exactly, Nullable, Seconds, Sha256Hex, Timestamp, Uuid } from './primitives.ts'

export const RULE_TARGET_TYPES = ['organization', 'app', 'provider', 'agent', 'grant', 'key'] as const
export const RULE_TYPES = [
  'ip_allowlist',
  'time_window',
  'json_match',
  'require_approval',
  'rate_limit',
  'group_membership',
  'ttl',
  'request_match',
  'content_match',
  'cel',
] as const
/** The types that a request may carry as a one-off rule. */
export const REQUEST_RULE_TYPES = ['json_match', 'require_approval', 'content_match'] as const
/** The only body version so far. A stored rule with another denies. */
export const RULE_BODY_VERSION = 1
/** The largest rule body, in bytes of UTF-8 JSON. */
export const RULE_BODY_MAX_BYTES = 16_384
/** The longest `X-Alter-Request-Rule` header, in characters of base64url. */
export const REQUEST_RULE_MAX_CHARACTERS = 4_096

export const RuleTargetType = Type.Enum(RULE_TARGET_TYPES)
export const RuleType = Type.Enum(RULE_TYPES)
export const RuleMode = Type.Enum(['enforce', 'shadow'])
export const RuleManagedBy = Type.Enum(['operator', 'agent_policy', 'grant_policy', 'user'])

/** What a rule restricts: a UUID, or a provider id or secret slug when `type` is `provider`. */
export const RuleTarget = Exactly({ type: RuleTargetType, id: Type.String({ minLength: 1, maxLength: 255 }) })

const Value = Type.String({ maxLength: 512 })
const Scalar = Type.Union([Value, Type.Number(), Type.Boolean()])
const NullableScalar = Type.Union([Value, Type.Number(), Type.Boolean(), Type.Null()])
const List = <T extends Type.TSchema>(item: T, maxItems: number) => Type.Array(item, { minItems: 1, maxItems })

/** The attributes that both a one-off and a stored rule may name. */
export const REQUEST_RULE_ATTRIBUTES = [
  'method',
  'provider_id',
  'app_id',
  'agent_id',
  'api_key_id',
  'environment',
  'client_ip',
  'resource_kind',
] as const

/** One condition of a stored rule: a value, a list of which any matches, or one operator. */
export const Condition = Type.Union([
  Scalar,
  List(Scalar, 100),
  Exactly({ eq: NullableScalar }),
  Exactly({ in: List(NullableScalar, 100) }),
  Exactly({ not_in: List(NullableScalar, 100) }),
  Exactly({ glob: Value }),
  Exactly({ not_glob: Value }),
  Exactly({ prefix: Value }),
  Exactly({ gt: Type.Number() }),
  Exactly({ gte: Type.Number() }),
  Exactly({ lt: Type.Number() }),
  Exactly({ lte: Type.Number() }),
  Exactly({ exists: Type.Boolean() }),
  Exactly({ any_in: List(NullableScalar, 100) }),
  Exactly({ not_subset_of: List(NullableScalar, 100) }),
])

/**
 * What a stored rule looks at: attribute → condition, all of which must match; `{}` matches every request.
 * Besides the plain names there are `query.<name>` and `body:<JSON Pointer>` (RFC 6901, a `*` token is any array element).
 */
export const When = Type.Record(
  Type.String({
    pattern:
      '^(method|provider_id|app_id|agent_id|api_key_id|environment|client_ip|resource_kind|mode|key_type|caller|caller_type|app_user_id|group_ids|principal_type|grant_id|grant_label|scopes|tool|framework|run_id|thread_id|parent_agent|host|port|path|header_names|content_type|body_size|query\\..{1,256}|body:(/.{0,256})?)$',
  }),
  Condition,
  { additionalProperties: false, maxProperties: 20 },
)

const PlainValue = Type.Union([Value, List(Value, 100)])
/** What a one-off rule looks at: eight attributes, plain values only. */
export const RequestRuleWhen = Exactly(
  Object.fromEntries(REQUEST_RULE_ATTRIBUTES.map((name) => [name, Type.Optional(PlainValue)])) as Record<
    (typeof REQUEST_RULE_ATTRIBUTES)[number],
    Type.TOptional<typeof PlainValue>
  >,
)

/** One person or set of persons who may decide. A plain string is an e-mail address. */
export const Approver = Type.Union([
  Email,
  Exactly({ type: Type.Literal('email'), email: Email }),
  Exactly({ type: Type.Literal('app_user'), id: Uuid }),
  Exactly({
    type: Type.Literal('group'),
    external_group_id: Type.String({ minLength: 1, maxLength: 255 }),
    idp_id: Uuid,
  }),
  Exactly({ type: Type.Literal('member'), id: Uuid }),
  Exactly({ type: Type.Literal('role'), role: Type.Enum(['owner', 'admin', 'developer', 'auditor', 'approver']) }),
  Exactly({ type: Type.Literal('grant_owner') }),
])

export const ApprovalChannel = Type.Enum(['email', 'slack', 'webhook', 'web_push'])
const Pointer = Type.String({ maxLength: 512, pattern: '^(/([^~]|~[01])*)?$' })

const approvalMembers = {
  /** Absent: whoever holds the link. */
  approvers: Type.Optional(List(Approver, 50)),
  quorum: Type.Optional(Type.Integer({ minimum: 1, maximum: 10 })),
  window_seconds: Type.Optional(Type.Integer({ minimum: 60, maximum: 604_800 })),
  /** Absent: the app's default. Empty: nothing is sent, the link is in the answer. */
  channels: Type.Optional(Type.Array(ApprovalChannel, { uniqueItems: true, maxItems: 4 })),
  link_mode: Type.Optional(Type.Enum(['bearer', 'sign_in'])),
  require_reason: Type.Optional(Type.Boolean()),
  decision_reason: Type.Optional(Type.Enum(['optional', 'on_deny', 'always'])),
  edit_allowed: Type.Optional(
    Type.Union([
      Type.Boolean(),
      Exactly({
        body: Type.Optional(Type.Array(Pointer, { maxItems: 50 })),
        query: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 256 }), { maxItems: 50 })),
      }),
    ]),
  ),
  step_up: Type.Optional(
    Nullable(
      Exactly({
        max_auth_age_seconds: Type.Integer({ minimum: 60, maximum: 3_600 }),
        methods: Type.Optional(Type.Array(Type.Enum(['passkey', 'totp', 'idp']), { minItems: 1, uniqueItems: true })),
      }),
    ),
  ),
  four_eyes: Type.Optional(Type.Boolean()),
}

/** How a gate is decided. Defaults are filled in when a request is held, from the rule and then from the app. */
export const ApprovalConfig = Exactly({
  ...approvalMembers,
  show_body: Type.Optional(Type.Boolean()),
  show_result: Type.Optional(Type.Boolean()),
  approve_for_window: Type.Optional(
    Nullable(
      Exactly({ max_seconds: Type.Integer({ minimum: 60, maximum: 86_400 }), match: Type.Enum(['exact', 'endpoint']) }),
    ),
  ),
})
/** As {@link ApprovalConfig}; one request cannot ask for a pass that outlives it, nor say what whoever decides on it may see. */
export const RequestRuleApprovalConfig = Exactly(approvalMembers)

const Expression = Type.String({ minLength: 1, maxLength: 2_048 })
const optionalWhen = { when: Type.Optional(When) }

export const IpAllowlistBody = Exactly({
  cidrs: List(Type.String({ maxLength: 64 }), 200),
  ...optionalWhen,
})

const timeWindowMembers = {
  /** IANA name, exact case. */
  timezone: Type.String({ minLength: 1, maxLength: 64 }),
  windows: List(
    Exactly({
      days: Type.Array(Type.Enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']), {
        minItems: 1,
        maxItems: 7,
        uniqueItems: true,
      }),
      start: Type.String({ pattern: '^([01]\\d|2[0-3]):[0-5]\\d$' }),
      /** Earlier than `start`: the window runs over midnight and belongs to the day on which it starts. */
      end: Type.String({ pattern: '^(([01]\\d|2[0-3]):[0-5]\\d|24:00)$' }),
    }),
    20,
  ),
  excluded_dates: Type.Optional(Type.Array(Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}$' }), { maxItems: 100 })),
}
export const TimeWindows = Exactly(timeWindowMembers)
export const TimeWindowBody = Exactly({ ...timeWindowMembers, ...optionalWhen })

export const JsonMatchBody = Exactly({ when: When, effect: Type.Literal('deny') })
export const RequestRuleJsonMatchBody = Exactly({ when: RequestRuleWhen, effect: Type.Literal('deny') })

export const RequireApprovalBody = Exactly({
  effect: Type.Literal('require_approval'),
  approval: ApprovalConfig,
  ...optionalWhen,
  cel: Type.Optional(Expression),
})
export const RequestRuleRequireApprovalBody = Exactly({
  effect: Type.Literal('require_approval'),
  approval: RequestRuleApprovalConfig,
  when: Type.Optional(RequestRuleWhen),
})

export const RateLimitBody = Exactly({
  limit: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
  /** 60 when absent. With `alignment: "calendar"`: 60, 3600, 86400, 604800 or 2678400 (a month). */
  window_seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 2_678_400 })),
  per: Type.Optional(Type.Enum(['grant', 'agent', 'key', 'app_user', 'provider', 'app', 'client_ip'])),
  alignment: Type.Optional(Type.Enum(['sliding', 'calendar'])),
  timezone: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
  ...optionalWhen,
})

export const GroupMembershipBody = Exactly({
  mode: Type.Enum(['require_any', 'require_all', 'deny_any']),
  groups: List(Type.String({ minLength: 1, maxLength: 255 }), 50),
  idp_id: Type.Optional(Uuid),
  max_staleness_seconds: Type.Optional(Type.Integer({ minimum: 60, maximum: 2_592_000 })),
})

export const TtlBody = Type.Object(
  {
    max_grant_age_seconds: Type.Optional(Type.Integer({ minimum: 60, maximum: 315_360_000 })),
    max_idle_seconds: Type.Optional(Type.Integer({ minimum: 60, maximum: 31_536_000 })),
  },
  { additionalProperties: false, minProperties: 1 },
)

const Method = Type.String({ pattern: "^[A-Za-z!#$%&'*+.^_`|~0-9-]{1,32}$" })
const HostPattern = Type.String({ minLength: 1, maxLength: 255 })
const Glob = Type.String({ minLength: 1, maxLength: 512 })

export const RequestMatchBody = Exactly({
  allow: Exactly({
    methods: Type.Optional(Type.Array(Method, { maxItems: 200 })),
    /** A host, or `*.example.com` for one or more labels before `example.com`. */
    hosts: Type.Optional(Type.Array(HostPattern, { maxItems: 200 })),
    paths: Type.Optional(Type.Array(Glob, { maxItems: 200 })),
    endpoints: Type.Optional(
      Type.Array(Exactly({ methods: List(Method, 200), host: HostPattern, path: Glob }), { maxItems: 200 }),
    ),
    query_names: Type.Optional(Type.Array(Value, { maxItems: 200 })),
    content_types: Type.Optional(Type.Array(Value, { maxItems: 200 })),
    max_body_bytes: Type.Optional(Type.Integer({ minimum: 0, maximum: 10_485_760 })),
  }),
  ...optionalWhen,
})

const ContentParam = <O extends string, V extends Type.TSchema>(op: O, value: V) =>
  Exactly({ name: Type.String({ minLength: 1, maxLength: 120 }), op: Type.Literal(op), value })
const Globs = List(Glob, 200)

export const ContentMatchBody = Exactly({
  match: Type.Object(
    {
      operations: Type.Optional(List(Type.String({ minLength: 1, maxLength: 255 }), 100)),
      families: Type.Optional(
        Type.Array(Type.Enum(['send', 'read', 'write', 'delete', 'admin', 'payment']), {
          minItems: 1,
          uniqueItems: true,
        }),
      ),
    },
    { additionalProperties: false, minProperties: 1 },
  ),
  params: Type.Optional(
    Type.Array(
      Type.Union([
        ContentParam('equals', Scalar),
        ContentParam('any_in', Globs),
        ContentParam('not_subset_of', Globs),
        ContentParam('gt', Type.Number()),
        ContentParam('gte', Type.Number()),
        ContentParam('lt', Type.Number()),
        ContentParam('lte', Type.Number()),
        ContentParam('outside_windows', TimeWindows),
      ]),
      { maxItems: 20 },
    ),
  ),
  effect: Type.Enum(['deny', 'redact', 'step_up']),
  /** With `effect: "redact"` only. */
  redact: Type.Optional(Exactly({ fields: List(Type.String({ minLength: 1, maxLength: 256 }), 50) })),
  /** With `effect: "step_up"` only. */
  step_up: Type.Optional(Exactly({ max_session_age_seconds: Type.Integer({ minimum: 1, maximum: 86_400 }) })),
})

export const CelBody = Exactly({
  expression: Expression,
  effect: Type.Enum(['deny', 'require_approval']),
  /** With `effect: "require_approval"` only. */
  approval: Type.Optional(ApprovalConfig),
})

/** The body of a stored rule, by its type. */
export const ruleBodies = {
  ip_allowlist: IpAllowlistBody,
  time_window: TimeWindowBody,
  json_match: JsonMatchBody,
  require_approval: RequireApprovalBody,
  rate_limit: RateLimitBody,
  group_membership: GroupMembershipBody,
  ttl: TtlBody,
  request_match: RequestMatchBody,
  content_match: ContentMatchBody,
  cel: CelBody,
} as const satisfies Record<(typeof RULE_TYPES)[number], Type.TSchema>

/** The body of a one-off rule, by its type. */
export const requestRuleBodies = {
  json_match: RequestRuleJsonMatchBody,
  require_approval: RequestRuleRequireApprovalBody,
  content_match: ContentMatchBody,
} as const satisfies Record<(typeof REQUEST_RULE_TYPES)[number], Type.TSchema>

/** What `X-Alter-Request-Rule` holds, decoded. */
export const RequestRule = Type.Union([
  Exactly({ rule_type: Type.Literal('json_match'), rule_body: RequestRuleJsonMatchBody }),
  Exactly({ rule_type: Type.Literal('require_approval'), rule_body: RequestRuleRequireApprovalBody }),
  Exactly({ rule_type: Type.Literal('content_match'), rule_body: ContentMatchBody }),
])

const RuleName = Type.String({ format: 'plain-name', minLength: 1, maxLength: 120 })
const RuleDescription = Type.String({ maxLength: 1_000 })

/** A new rule. `body` is checked against {@link ruleBodies} by type, so that a fault is named inside the body. */
export const CreateRule = Exactly({
  target: RuleTarget,
  type: RuleType,
  name: RuleName,
  description: Type.Optional(RuleDescription),
  body: Type.Record(Type.String(), Type.Unknown()),
  body_version: Type.Optional(Type.Literal(RULE_BODY_VERSION)),
  enabled: Type.Optional(Type.Boolean()),
  mode: Type.Optional(RuleMode),
  expires_at: Type.Optional(Nullable(Timestamp)),
})

/** A change of a rule; target and type stay. */
export const UpdateRule = Type.Partial(Type.Omit(CreateRule, ['target', 'type']), { additionalProperties: false })

/** A fault or a remark about one place of a rule; `pointer` is an RFC 6901 pointer into what was sent. */
export const RuleRemark = Exactly({ pointer: Type.String(), code: Type.String(), message: Type.String() })

export const Rule = Exactly({
  id: Uuid,
  version: Type.Integer({ minimum: 1 }),
  target: RuleTarget,
  type: RuleType,
  name: RuleName,
  description: RuleDescription,
  body: Type.Record(Type.String(), Type.Unknown()),
  body_version: Type.Integer({ minimum: 1 }),
  enabled: Type.Boolean(),
  mode: RuleMode,
  expires_at: Nullable(Timestamp),
  managed_by: RuleManagedBy,
  created_by: Nullable(Type.String()),
  created_at: Timestamp,
  updated_by: Nullable(Type.String()),
  updated_at: Timestamp,
})

/** Which requests a restricted grant serves; all present lists must match. Such a grant is used through the proxy only. */
export const GrantRestrictions = Type.Object(
  {
    allowed_methods: Type.Optional(
      Type.Array(Type.Enum(['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE']), {
        minItems: 1,
        maxItems: 7,
        uniqueItems: true,
      }),
    ),
    /** Globs over the canonical path, or `https://host/path`: `*` within one segment, `**` any depth. */
    allowed_endpoints: Type.Optional(List(Glob, 50)),
    allowed_hosts: Type.Optional(List(HostPattern, 20)),
  },
  { additionalProperties: false, minProperties: 1 },
)

/** What a grant policy may say when a grant is created or tightened. */
export const GrantPolicyWrite = Exactly({
  expires_at: Type.Optional(Timestamp),
  max_ttl_seconds: Type.Optional(Seconds),
  default_ttl_seconds: Type.Optional(Seconds),
  restrictions: Type.Optional(GrantRestrictions),
  requires_approval: Type.Optional(ApprovalConfig),
})

export const DecisionEffect = Type.Enum(['allow', 'deny', 'hold'])
export const DecisionPhase = Type.Enum(['request', 'execution', 'simulation', 'replay'])

/** One cause of a decision. The rule members are null for a refusal that no rule made. */
export const DecisionReason = Exactly({
  code: Type.String(),
  effect: Type.Enum(['deny', 'hold']),
  rule_id: Nullable(Uuid),
  rule_version: Nullable(Type.Integer({ minimum: 1 })),
  rule_type: Nullable(Type.String()),
  rule_name: Nullable(Type.String()),
  target: Nullable(Exactly({ type: Type.Enum([...RULE_TARGET_TYPES, 'request']), id: Nullable(Type.String()) })),
  managed_by: Nullable(RuleManagedBy),
  shadow: Type.Boolean(),
  message: Type.String(),
  /** When the same request would pass this rule; null when waiting does not help or the time is not known. */
  retryable_at: Nullable(Timestamp),
  details: Type.Record(Type.String(), Type.Unknown()),
})

/** What an SDK caller sees of a reason: of an organization's or a user's rule only the code and the rule id. */
export const CallerReason = Type.Union([
  DecisionReason,
  Exactly({
    code: Type.String(),
    rule_id: Nullable(Uuid),
    details: Exactly({ managed_by: Type.Optional(Type.Literal('user')) }),
  }),
])

/** A part of the request that is taken out before it is frozen or sent. */
export const DecisionObligation = Exactly({ type: Type.Literal('redact'), fields: Type.Array(Type.String()) })

export const DecisionRecord = Exactly({
  decision_id: Uuid,
  effect: DecisionEffect,
  phase: DecisionPhase,
  policy_epoch: Type.Integer({ minimum: 0 }),
  evaluated_at: Timestamp,
  duration_us: Type.Integer({ minimum: 0 }),
  reasons: Type.Array(DecisionReason),
  /** What the effect would be if every shadow rule were enforced. */
  shadow_effect: DecisionEffect,
  obligations: Type.Array(DecisionObligation),
  /** Hex SHA-256 of the RFC 8785 form of the context document. */
  context_digest: Sha256Hex,
  rules_evaluated: Type.Integer({ minimum: 0 }),
  retryable: Type.Boolean(),
  retry_after_seconds: Nullable(Type.Integer({ minimum: 0 })),
})

/** The record of a caller's own call, as the caller may see it. */
export const CallerDecisionRecord = Exactly({ ...DecisionRecord.properties, reasons: Type.Array(CallerReason) })

export type RuleTargetType = Type.Static<typeof RuleTargetType>
export type RuleType = Type.Static<typeof RuleType>
export type RequestRuleType = (typeof REQUEST_RULE_TYPES)[number]
export type RuleMode = Type.Static<typeof RuleMode>
export type RuleManagedBy = Type.Static<typeof RuleManagedBy>
export type RuleTarget = Type.Static<typeof RuleTarget>
export type Condition = Type.Static<typeof Condition>
export type When = Record<string, Condition>
export type Approver = Type.Static<typeof Approver>
export type ApprovalChannel = Type.Static<typeof ApprovalChannel>
export type ApprovalConfig = Type.Static<typeof ApprovalConfig>
export type IpAllowlistBody = Type.Static<typeof IpAllowlistBody>
export type TimeWindows = Type.Static<typeof TimeWindows>
export type TimeWindowBody = Type.Static<typeof TimeWindowBody>
export type JsonMatchBody = Type.Static<typeof JsonMatchBody>
export type RequireApprovalBody = Type.Static<typeof RequireApprovalBody>
export type RateLimitBody = Type.Static<typeof RateLimitBody>
export type GroupMembershipBody = Type.Static<typeof GroupMembershipBody>
export type TtlBody = Type.Static<typeof TtlBody>
export type RequestMatchBody = Type.Static<typeof RequestMatchBody>
export type ContentMatchBody = Type.Static<typeof ContentMatchBody>
export type CelBody = Type.Static<typeof CelBody>
export type RequestRule = Type.Static<typeof RequestRule>
export type CreateRule = Type.Static<typeof CreateRule>
export type UpdateRule = Type.Static<typeof UpdateRule>
export type RuleRemark = Type.Static<typeof RuleRemark>
export type Rule = Type.Static<typeof Rule>
export type GrantRestrictions = Type.Static<typeof GrantRestrictions>
export type GrantPolicyWrite = Type.Static<typeof GrantPolicyWrite>
export type DecisionEffect = Type.Static<typeof DecisionEffect>
export type DecisionPhase = Type.Static<typeof DecisionPhase>
export type DecisionReason = Type.Static<typeof DecisionReason>
export type CallerReason = Type.Static<typeof CallerReason>
export type DecisionObligation = Type.Static<typeof DecisionObligation>
export type DecisionRecord = Type.Static<typeof DecisionRecord>
export type CallerDecisionRecord = Type.Static<typeof CallerDecisionRecord>
