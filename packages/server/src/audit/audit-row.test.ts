import { DecisionRecord } from '@alter-vault/contracts'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { canonicalJson } from '../kernel/canonical-json.ts'
import { canonicalDetail, canonicalKeep, type RowDraft, writeRuns } from './audit-row.ts'

const anyId = fc.option(fc.uuid(), { nil: null })
const anyText = fc.option(fc.string({ unit: 'binary', maxLength: 20 }), { nil: null })
const place = { occurredAt: '2026-01-01T00:00:00.000001Z', eventId: 'e', salt: 'ab' }

test('a row that its writer gives the repeated members of is the row without them', () => {
  const anyRow = fc.record({
    event: fc.constantFrom('proxy.requested', 'proxy.executed'),
    outcome: fc.constantFrom('allowed', 'success'),
    callerKind: fc.constantFrom('app_key', 'agent_key', null),
    actorId: anyId,
    agentId: anyId,
    appUserId: anyId,
    approvalId: anyId,
    grantId: anyId,
    intentId: anyId,
    keyId: anyId,
    memberId: anyId,
    principalType: fc.constantFrom('system', 'agent', null),
    principalId: anyText,
    providerId: anyText,
    resourceKind: fc.constantFrom('managed_secret', null),
    runId: anyText,
    threadId: anyText,
    traceId: anyId,
    reason: anyText,
  }) as fc.Arbitrary<RowDraft>
  fc.assert(
    fc.property(anyRow, (row) => {
      const keep = canonicalKeep(row, place)
      expect(canonicalKeep({ ...row, runs: writeRuns(row) }, place)).toBe(keep)
      expect(canonicalJson(JSON.parse(keep))).toBe(keep)
    }),
  )
})

test('a decision and a captured body stand in a row in RFC 8785 form, with every member', () => {
  const reason = { code: 'request_denied', rule_id: 'r', details: { z: 1, a: ['é"'] } }
  const decision = {
    decision_id: 'd',
    effect: 'hold',
    phase: 'request',
    policy_epoch: 7,
    evaluated_at: '2026-01-01T00:00:00.000Z',
    duration_us: 12,
    reasons: [reason],
    shadow_effect: 'deny',
    obligations: [{ type: 'redact', paths: ['/a'] }],
    context_digest: 'ab',
    rules_evaluated: 20,
    retryable: true,
    retry_after_seconds: 3,
  } as unknown as DecisionRecord
  expect(Object.keys(decision).sort()).toEqual(Object.keys(DecisionRecord.properties).sort())
  const body = { digest: 'cd', length: 3, truncated: true, content_type: 'text/"é"', whole_digest: 'ef' }
  for (const record of [decision, { ...decision, reasons: [], obligations: [], retry_after_seconds: null }]) {
    const detail = { decision: record, requestBody: body, responseBody: { ...body, content_type: null } }
    const written = JSON.parse(canonicalDetail({ event: 'proxy.requested', outcome: 'allowed', detail }, place))
    expect(written).toMatchObject({ decision: record, request_body: body, response_body: { content_type: null } })
    expect(canonicalJson(written)).toBe(
      canonicalDetail({ event: 'proxy.requested', outcome: 'allowed', detail }, place),
    )
  }
})
