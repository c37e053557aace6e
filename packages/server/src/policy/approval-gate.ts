import type { ApprovalChannel, ApprovalConfig, Approver, RuleManagedBy } from '@alter-vault/contracts'

/** What an app sets for rules that say nothing. */
export type ApprovalDefaults = { channels: readonly ApprovalChannel[]; requireReason: boolean }

/** A rule that a gate answers. All null but the target for a one-off rule. */
export type GateRule = {
  rule_id: string | null
  rule_version: number | null
  rule_name: string | null
  target_type: 'organization' | 'app' | 'provider' | 'agent' | 'grant' | 'key' | 'request'
  managed_by: RuleManagedBy | null
}

/** The configuration of docs/spec/approvals.md#configuration-of-a-gate with every default filled in, as it is stored with the gate. */
export type GateConfiguration = {
  /** Empty: whoever holds the link. E-mail addresses are lower-case objects, no approver comes twice. */
  approvers: readonly Exclude<Approver, string>[]
  window_seconds: number
  channels: readonly ApprovalChannel[]
  link_mode: 'bearer' | 'sign_in'
  require_reason: boolean
  decision_reason: 'optional' | 'on_deny' | 'always'
  edit_allowed: boolean | { body: readonly string[]; query: readonly string[] }
  approve_for_window: { max_seconds: number; match: 'exact' | 'endpoint' } | null
  step_up: { max_auth_age_seconds: number; methods: readonly ('passkey' | 'totp' | 'idp')[] } | null
  four_eyes: boolean
  show_body: boolean
  show_result: boolean
}

/** A gate to open. */
export type GatePlan = { quorum: number; configuration: GateConfiguration; rules: readonly GateRule[] }

/** A hold rule that fired. */
export type FiredHold = { rule: GateRule; approval: ApprovalConfig }

const DEFAULT_WINDOW_SECONDS = 3_600
const STEP_UP_METHODS = ['passkey', 'totp', 'idp'] as const
const DECISION_REASONS = ['optional', 'on_deny', 'always'] as const

/**
 * The gates of a held request: one for each set of approvers, in the order of its first rule, so that the executor gate is the
 * first. Rules of one gate are merged into the highest quorum, the shortest window and the strictest of every other option.
 *
 * A one-off rule comes from the requester. Beside stored rules it has no say in what people see and in how they decide: their page, their
 * time and their duties are those of the stored rules.
 */
export function planGates(holds: readonly FiredHold[], defaults: ApprovalDefaults): GatePlan[] {
  const plans = new Map<string, GatePlan>()
  for (const { rule, approval } of holds) {
    const plan: GatePlan = {
      quorum: approval.quorum ?? 1,
      configuration: completeConfiguration(approval, defaults),
      rules: [rule],
    }
    const key = plan.configuration.approvers.map(approverKey).join('\n')
    const known = plans.get(key)
    plans.set(key, known === undefined ? plan : merge(known, plan))
  }
  return withoutHaste([...plans.values()])
}

const isOfRequester = ({ rules }: GatePlan): boolean => rules.every(({ target_type }) => target_type === 'request')

/** The first gate that ends ends the request, so a gate that the requester asks for ends no sooner than those of stored rules. */
function withoutHaste(plans: GatePlan[]): GatePlan[] {
  const windows = plans.filter((plan) => !isOfRequester(plan)).map(({ configuration }) => configuration.window_seconds)
  return plans.map((plan) => {
    if (windows.length === 0 || !isOfRequester(plan)) return plan
    const window_seconds = Math.max(plan.configuration.window_seconds, Math.min(...windows))
    return { ...plan, configuration: { ...plan.configuration, window_seconds } }
  })
}

/** The approvers of a rule in one spelling, sorted, each once. */
export function normalizeApprovers(approvers: readonly Approver[]): Exclude<Approver, string>[] {
  const byKey = new Map<string, Exclude<Approver, string>>()
  for (const approver of approvers) {
    const normal = normalizeApprover(approver)
    byKey.set(approverKey(normal), normal)
  }
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, approver]) => approver)
}

function normalizeApprover(approver: Approver): Exclude<Approver, string> {
  if (typeof approver === 'string') return { type: 'email', email: approver.toLowerCase() }
  return approver.type === 'email' ? { type: 'email', email: approver.email.toLowerCase() } : approver
}

function approverKey(approver: Exclude<Approver, string>): string {
  switch (approver.type) {
    case 'email':
      return JSON.stringify([approver.type, approver.email])
    case 'app_user':
    case 'member':
      return JSON.stringify([approver.type, approver.id])
    case 'group':
      return JSON.stringify([approver.type, approver.idp_id, approver.external_group_id])
    case 'role':
      return JSON.stringify([approver.type, approver.role])
    case 'grant_owner':
      return JSON.stringify([approver.type])
  }
}

function completeConfiguration(approval: ApprovalConfig, defaults: ApprovalDefaults): GateConfiguration {
  const approvers = normalizeApprovers(approval.approvers ?? [])
  const stepUp = approval.step_up ?? null
  const edit = approval.edit_allowed ?? false
  return {
    approvers,
    window_seconds: approval.window_seconds ?? DEFAULT_WINDOW_SECONDS,
    channels: approval.channels ?? defaults.channels,
    link_mode: stepUp !== null || approvers.length > 0 ? 'sign_in' : (approval.link_mode ?? 'bearer'),
    require_reason: approval.require_reason ?? defaults.requireReason,
    decision_reason: approval.decision_reason ?? 'optional',
    edit_allowed: typeof edit === 'boolean' ? edit : { body: edit.body ?? [], query: edit.query ?? [] },
    approve_for_window: approval.approve_for_window ?? null,
    step_up:
      stepUp === null
        ? null
        : { max_auth_age_seconds: stepUp.max_auth_age_seconds, methods: stepUp.methods ?? STEP_UP_METHODS },
    four_eyes: approval.four_eyes ?? false,
    show_body: approval.show_body ?? true,
    show_result: approval.show_result ?? false,
  }
}

/** What people see, and how they decide: the requester's rule takes it from the stored ones of its gate. */
const FOR_PEOPLE = ['window_seconds', 'decision_reason', 'edit_allowed', 'show_body', 'show_result'] as const

function merge(a: GatePlan, b: GatePlan): GatePlan {
  const stored = isOfRequester(a) ? b : a
  const merged = mergeAsEquals(a, b)
  if (isOfRequester(a) === isOfRequester(b)) return merged
  const kept = Object.fromEntries(FOR_PEOPLE.map((name) => [name, stored.configuration[name]]))
  return { ...merged, configuration: { ...merged.configuration, ...kept } }
}

function mergeAsEquals(a: GatePlan, b: GatePlan): GatePlan {
  const x = a.configuration
  const y = b.configuration
  return {
    quorum: Math.max(a.quorum, b.quorum),
    rules: [...a.rules, ...b.rules],
    configuration: {
      approvers: x.approvers,
      window_seconds: Math.min(x.window_seconds, y.window_seconds),
      // Sending to more places tells more people, which is the strict direction.
      channels: [...new Set([...x.channels, ...y.channels])],
      link_mode: x.link_mode === 'sign_in' || y.link_mode === 'sign_in' ? 'sign_in' : 'bearer',
      require_reason: x.require_reason || y.require_reason,
      decision_reason:
        DECISION_REASONS[
          Math.max(DECISION_REASONS.indexOf(x.decision_reason), DECISION_REASONS.indexOf(y.decision_reason))
        ]!,
      edit_allowed: mergeEdits(x.edit_allowed, y.edit_allowed),
      approve_for_window: mergePasses(x.approve_for_window, y.approve_for_window),
      step_up: mergeStepUps(x.step_up, y.step_up),
      four_eyes: x.four_eyes || y.four_eyes,
      // Whoever decides for a rule that shows the body has to see it.
      show_body: x.show_body || y.show_body,
      show_result: x.show_result && y.show_result,
    },
  }
}

function mergeEdits(
  a: GateConfiguration['edit_allowed'],
  b: GateConfiguration['edit_allowed'],
): GateConfiguration['edit_allowed'] {
  if (a === false || b === false) return false
  if (a === true) return b
  if (b === true) return a
  return {
    body: a.body.filter((pointer) => b.body.includes(pointer)),
    query: a.query.filter((name) => b.query.includes(name)),
  }
}

function mergePasses(
  a: GateConfiguration['approve_for_window'],
  b: GateConfiguration['approve_for_window'],
): GateConfiguration['approve_for_window'] {
  if (a === null || b === null) return null
  return {
    max_seconds: Math.min(a.max_seconds, b.max_seconds),
    match: a.match === 'exact' || b.match === 'exact' ? 'exact' : 'endpoint',
  }
}

/** Without a common method nobody can step up, and the gate ends with its window. */
function mergeStepUps(a: GateConfiguration['step_up'], b: GateConfiguration['step_up']): GateConfiguration['step_up'] {
  if (a === null || b === null) return a ?? b
  return {
    max_auth_age_seconds: Math.min(a.max_auth_age_seconds, b.max_auth_age_seconds),
    methods: a.methods.filter((method) => b.methods.includes(method)),
  }
}
