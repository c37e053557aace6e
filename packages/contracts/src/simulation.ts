import Type from 'typebox'
import { operator } from './access.ts'
import { managementApi } from './api.ts'
import { audited } from './endpoint.ts'
import { PathId } from './list.ts'
import { Exactly, Nullable, Timestamp, Uuid } from './primitives.ts'
import { DecisionRecord, RuleMode, RuleTarget, RuleType } from './rule.ts'

/** A made-up use, and changes of the rules to try it against (docs/spec/decisions-and-rules.md#simulation). */
export const SimulatePolicy = Exactly({
  grant_id: Uuid,
  mode: Type.Optional(Type.Enum(['proxy', 'retrieve'])),
  method: Type.Optional(Type.String({ minLength: 1, maxLength: 32 })),
  /** Required in mode `proxy`. */
  url: Type.Optional(Type.String({ minLength: 1 })),
  headers: Type.Optional(Type.Record(Type.String(), Type.String())),
  body: Type.Optional(Type.Unknown()),
  /** The grant's own agent when absent. */
  agent_id: Type.Optional(Uuid),
  key_id: Type.Optional(Uuid),
  caller: Type.Optional(Type.String({ maxLength: 255 })),
  client_ip: Type.Optional(Type.String({ maxLength: 45 })),
  reason: Type.Optional(Type.String({ maxLength: 2_000 })),
  /** When it is to happen; now when absent. */
  at: Type.Optional(Timestamp),
  draft_rules: Type.Optional(
    Type.Array(
      Exactly({
        target: RuleTarget,
        type: RuleType,
        name: Type.Optional(Type.String({ minLength: 1, maxLength: 120 })),
        body: Type.Record(Type.String(), Type.Unknown()),
        mode: Type.Optional(RuleMode),
      }),
      { maxItems: 50 },
    ),
  ),
  disabled_rule_ids: Type.Optional(Type.Array(Uuid, { maxItems: 500 })),
})

/** What one rule said of a simulated use. */
export const RuleTrace = Exactly({
  rule_id: Nullable(Uuid),
  rule_name: Nullable(Type.String()),
  rule_type: Type.String(),
  target: Exactly({ type: Type.String(), id: Nullable(Type.String()) }),
  shadow: Type.Boolean(),
  /** `unknown`: an attribute cannot be known, so the rule counts as matched. */
  result: Type.Enum(['matched', 'not_matched', 'unknown']),
  /** What it does to the use; `charge` counts it against a budget. Null when it did not match. */
  effect: Nullable(Type.Enum(['deny', 'hold', 'redact', 'charge'])),
  /**
   * What it looked at, by the names of the context document (docs/spec/decisions-and-rules.md#the-context-document), and what was found
   * there.
   */
  attributes: Type.Record(Type.String(), Type.Unknown()),
})

export const PolicySimulation = Exactly({
  decision: DecisionRecord,
  /** Every rule on what the use involves, in the order of evaluation. */
  rules: Type.Array(RuleTrace),
  /** The gates that would open; the first executes. */
  gates: Type.Array(
    Exactly({
      quorum: Type.Integer({ minimum: 1 }),
      window_seconds: Type.Integer({ minimum: 60 }),
      link_mode: Type.Enum(['bearer', 'sign_in']),
      rule_ids: Type.Array(Uuid),
    }),
  ),
})

export const simulatePolicy = managementApi.defineEndpoint({
  id: 'simulate_policy',
  method: 'POST',
  path: '/api/v1/apps/:app_id/policy/simulate',
  summary: 'Decide a made-up request without sending it',
  tag: 'rules',
  access: operator({ scope: 'app_policy:read' }),
  params: Type.Object({ app_id: PathId }),
  body: SimulatePolicy,
  example: {
    grant_id: '018f5a3c-7b21-7c4e-9a55-0c2f6d1e8b90',
    method: 'POST',
    url: 'https://api.payments.example/v1/refunds',
    body: { amount: 60_000 },
    at: '2026-03-07T10:00:00Z',
  },
  success: PolicySimulation,
  errors: [
    'agent_not_found',
    'audit_unavailable',
    'blocked_destination',
    'forbidden_header',
    'grant_not_found',
    'grant_restriction',
    'cidr_too_wide',
    'invalid_cel',
    'invalid_cidr',
    'invalid_rule_body',
    'query_too_long',
  ],
  audit: audited('policy.simulated'),
})

export type SimulatePolicy = Type.Static<typeof SimulatePolicy>
export type RuleTrace = Type.Static<typeof RuleTrace>
export type PolicySimulation = Type.Static<typeof PolicySimulation>
