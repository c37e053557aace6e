import type { AuditEvent } from '@alter-vault/contracts'
import { describe, expect, test } from 'vitest'
import { explainTrace } from './explain-trace.ts'
import { traceTree } from './trace-tree.ts'

const APP = '00000000-0000-4000-8000-00000000000a'
let made = 0

function row(changes: Partial<AuditEvent>): AuditEvent {
  made += 1
  const id = `00000000-0000-4000-8000-${String(made).padStart(12, '0')}`
  return {
    v: 1,
    event_id: id,
    event: 'proxy.requested',
    stream: 'runtime',
    organization_id: null,
    app_id: APP,
    scope_id: APP,
    row_no: made,
    occurred_at: `2026-01-01T00:00:00.${String(made).padStart(6, '0')}Z`,
    caller_kind: null,
    key_id: '00000000-0000-4000-8000-00000000000c',
    agent_id: '00000000-0000-4000-8000-00000000000d',
    actor_id: null,
    member_id: null,
    app_user_id: null,
    principal_type: null,
    principal_id: null,
    grant_id: null,
    provider_id: null,
    resource_kind: null,
    trace_id: 't',
    run_id: null,
    thread_id: null,
    approval_id: null,
    intent_id: null,
    outcome: 'allowed',
    decision_effect: null,
    primary_reason: null,
    reason: null,
    detail: null,
    detail_h: null,
    ...changes,
  }
}

const refused = (primary_reason: string) => row({ event: 'proxy.refused', outcome: 'refused', primary_reason })
const answered = (status: number, headers = {}) =>
  row({
    event: 'proxy.executed',
    outcome: status < 400 ? 'success' : 'provider_error',
    detail: { response_status: status, response_headers: headers },
  })
const explain = (...events: AuditEvent[]) => explainTrace('t', events, APP)

describe('the end of a trace', () => {
  test.each<[string, AuditEvent, string]>([
    ['an intent alone', row({}), 'in_flight'],
    ['a good answer', answered(200), 'succeeded'],
    ['an answer 401', answered(401), 'provider_unauthorized'],
    ['an answer 403', answered(403), 'provider_unauthorized'],
    ['an answer 404', answered(404), 'provider_rejected'],
    ['an answer 429', answered(429), 'provider_rate_limited'],
    ['an answer 502', answered(502), 'provider_failed'],
    ['no answer', row({ event: 'proxy.failed', outcome: 'network_error' }), 'provider_failed'],
    ['a process that died', row({ event: 'proxy.outcome_unknown', outcome: 'unknown' }), 'outcome_unknown'],
    ['a missing scope', refused('insufficient_scope'), 'scope_missing'],
    ['an agent out of its scope map', refused('agent_scope_not_allowed'), 'scope_missing'],
    ['a grant that ran out', refused('grant_expired'), 'grant_ended'],
    ['a revoked credential', refused('credential_revoked'), 'grant_ended'],
    ['a grant for the proxy only', refused('restricted_grant_requires_proxy'), 'proxy_required'],
    ['an address that is not allowed', refused('blocked_destination'), 'destination_refused'],
    ['a store that was away', refused('audit_unavailable'), 'store_unavailable'],
    ['any other refusal', refused('nonce_replayed'), 'refused'],
    ['a code nobody knows any more', refused('long_gone'), 'refused'],
    ['a held request', row({ event: 'approval.requested', outcome: 'pending' }), 'approval_pending'],
    ['a vote', row({ event: 'approval.decided' }), 'approval_pending'],
    ['an approval', row({ event: 'approval.approved' }), 'approval_approved'],
    ['a denial', row({ event: 'approval.denied', outcome: 'refused' }), 'approval_denied'],
    ['a window that closed', row({ event: 'approval.expired', outcome: 'refused' }), 'approval_expired'],
    ['a withdrawal', row({ event: 'approval.cancelled', outcome: 'refused' }), 'approval_cancelled'],
    ['an execution under way', row({ event: 'approval.executing' }), 'in_flight'],
    ['an executed request', row({ event: 'approval.executed', outcome: 'success' }), 'succeeded'],
    ['an execution without an answer', row({ event: 'approval.failed', outcome: 'network_error' }), 'provider_failed'],
    [
      'an approved request that was refused',
      row({ event: 'approval.failed', outcome: 'refused', primary_reason: 'grant_revoked' }),
      'grant_ended',
    ],
    ['an execution nobody recorded', row({ event: 'approval.outcome_unknown', outcome: 'unknown' }), 'outcome_unknown'],
    ['a change', row({ event: 'key.minted', outcome: 'changed' }), 'changed'],
  ])('%s', (_what, last, endState) => {
    const explained = explain(row({}), last)
    expect(explained.end_state).toBe(endState)
    expect(explained.event_id).toBe(last.event_id)
    expect(explained.summary).toMatch(/\.$/)
    for (const { text } of explained.remedies) expect(text).toMatch(/[.:a-z)"]$/)
  })

  test('of a rule names the rule, when it would pass, and how to see it', () => {
    const reason = {
      code: 'outside_time_window',
      rule_id: '00000000-0000-4000-8000-0000000000ff',
      rule_name: 'Office hours',
      message: 'The request came outside the hours of the rule.',
      retryable_at: '2026-01-02T08:00:00Z',
      shadow: false,
    }
    const explained = explain(
      row({
        event: 'proxy.denied',
        outcome: 'policy_denied',
        primary_reason: 'outside_time_window',
        detail: { decision: { reasons: [reason, { ...reason, shadow: true, rule_name: 'Trial' }] } },
      }),
    )
    expect(explained).toMatchObject({
      end_state: 'policy_denied',
      code: 'outside_time_window',
      facts: { reasons: [reason] },
    })
    expect(explained.remedies).toEqual([
      {
        text: 'Rule "Office hours": The request came outside the hours of the rule. It would pass from 2026-01-02T08:00:00Z on.',
        command: `alter policy rules get ${reason.rule_id} --app ${APP}`,
      },
    ])
  })

  test('is not what somebody did afterwards', () => {
    const end = answered(429, { 'retry-after': '30' })
    const explained = explain(row({}), end, row({ event: 'approval.result_read' }), row({ event: 'call.reported' }))
    expect(explained).toMatchObject({ event_id: end.event_id, facts: { status: 429, retry_after: '30' } })
    expect(explained.remedies[0]!.text).toContain('30')
  })

  test('is told of rows whose details are pruned, too', () => {
    expect(explain(row({ event: 'proxy.executed', outcome: 'provider_error' })).end_state).toBe('provider_rejected')
    expect(explain(row({ event: 'proxy.denied', outcome: 'policy_denied' })).end_state).toBe('policy_denied')
  })
})

test('a tree holds every row once, whatever rows say of each other', () => {
  const a = row({})
  const b = row({ intent_id: a.event_id })
  const c = row({ intent_id: 'elsewhere' })
  const d = row({})
  d.intent_id = d.event_id
  const loop = row({})
  const back = row({ intent_id: loop.event_id })
  loop.intent_id = back.event_id
  const tree = traceTree([a, b, c, d, loop, back])
  expect(tree.map(({ event_id, depth }) => [event_id, depth])).toEqual([
    [a.event_id, 0],
    [b.event_id, 1],
    [c.event_id, 0],
    [d.event_id, 0],
    [loop.event_id, 0],
    [back.event_id, 1],
  ])
})
