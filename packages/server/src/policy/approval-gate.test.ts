import { ApprovalConfig, RequestRuleApprovalConfig } from '@alter-vault/contracts'
import fc from 'fast-check'
import { Value } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { type FiredHold, type GatePlan, planGates } from './approval-gate.ts'

const defaults = { channels: [], requireReason: false }

const approvers = fc.constantFrom(undefined, undefined, ['ann@acme.example'], ['ben@acme.example'])
const shared = {
  approvers,
  window_seconds: fc.constantFrom(undefined, 60, 600, 3_600, 604_800),
  link_mode: fc.constantFrom(undefined, 'sign_in'),
  require_reason: fc.constantFrom(undefined, true, false),
  decision_reason: fc.constantFrom(undefined, 'optional', 'on_deny', 'always'),
  edit_allowed: fc.constantFrom(undefined, true, false),
  four_eyes: fc.constantFrom(undefined, true, false),
}
const shows = {
  show_body: fc.constantFrom(undefined, true, false),
  show_result: fc.constantFrom(undefined, true, false),
}

const configOf = (members: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<ApprovalConfigValue> =>
  fc.record(members).map((config) => JSON.parse(JSON.stringify(config)) as ApprovalConfigValue)
type ApprovalConfigValue = FiredHold['approval']

const holdOf = (target_type: 'app' | 'request', approval: ApprovalConfigValue, index = 0): FiredHold => ({
  rule: {
    rule_id: target_type === 'request' ? null : `rule-${index}`,
    rule_version: 1,
    rule_name: null,
    target_type,
    managed_by: null,
  },
  approval,
})
const stored = fc.array(configOf({ ...shared, ...shows }), { minLength: 1, maxLength: 4 })
const keyOf = ({ configuration }: GatePlan) => JSON.stringify(configuration.approvers)
const endOf = (gates: readonly GatePlan[]) =>
  Math.min(...gates.map(({ configuration }) => configuration.window_seconds))

describe('a one-off rule', () => {
  test('takes nothing from what people see, from their time and from how they decide, whatever it and the stored rules say', () => {
    fc.assert(
      fc.property(stored, configOf(shared), (rules, oneOff) => {
        for (const config of rules) expect(Value.Check(ApprovalConfig, config)).toBe(true)
        expect(Value.Check(RequestRuleApprovalConfig, oneOff)).toBe(true)
        const holds = rules.map((config, index) => holdOf('app', config, index))
        const without = planGates(holds, defaults)
        const within = planGates([...holds, holdOf('request', oneOff)], defaults)
        const byKey = new Map(within.map((gate) => [keyOf(gate), gate.configuration]))
        for (const gate of without) {
          const { show_body, show_result, window_seconds, decision_reason, edit_allowed } = gate.configuration
          expect(byKey.get(keyOf(gate))).toMatchObject({
            show_body,
            show_result,
            window_seconds,
            decision_reason,
            edit_allowed,
          })
        }
        expect(endOf(within)).toBe(endOf(without))
      }),
    )
  })

  test.each(['show_body', 'show_result', 'approve_for_window'])('does not even have "%s"', (member) => {
    expect(Value.Check(RequestRuleApprovalConfig, { [member]: false })).toBe(false)
  })

  test('alone says what it may say', () => {
    const [gate] = planGates([holdOf('request', { window_seconds: 60, decision_reason: 'always' })], defaults)
    expect(gate?.configuration).toMatchObject({ window_seconds: 60, decision_reason: 'always', show_body: true })
  })
})

test('a body is hidden only where every stored rule of the gate hides it', () => {
  const gateOf = (...shown: boolean[]) =>
    planGates(
      shown.map((show_body, index) => holdOf('app', { show_body }, index)),
      defaults,
    )[0]?.configuration.show_body
  expect([gateOf(false), gateOf(false, false), gateOf(false, true), gateOf(true, false)]).toEqual([
    false,
    false,
    true,
    true,
  ])
})
