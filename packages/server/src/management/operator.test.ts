import { describe, expect, it } from 'vitest'
import { changeRow, operatorAuthor } from './change-author.ts'
import { admitOperator, type Operator, tokenSession } from './operator.ts'

const byToken: Operator = {
  organizationId: 'o',
  memberId: 'm',
  patId: 't',
  role: 'owner',
  session: tokenSession,
  scopes: [],
  appIds: null,
  clientIp: '203.0.113.7',
  userAgent: null,
}
const inPerson: Operator = { ...byToken, session: { callerKind: 'member', initiator: 'portal', inPerson: true } }
const needs = { scope: null, inPerson: true }

describe('the session of an operator', () => {
  it('decides whether an endpoint for persons lets them in', () => {
    expect(() => admitOperator(byToken, { params: {} }, needs)).toThrow(
      expect.objectContaining({ code: 'interactive_session_required' }),
    )
    expect(admitOperator(inPerson, { params: {} }, needs).principal).toBe(inPerson)
    expect(admitOperator(byToken, { params: {} }, { scope: null }).principal).toBe(byToken)
  })

  it('is what the row of a change says of them', () => {
    const rowOf = (operator: Operator) =>
      changeRow(operatorAuthor(operator), { event: 'app.updated', type: 'app', id: 'a' })
    expect(rowOf(byToken)).toMatchObject({ callerKind: 'pat', memberId: 'm', detail: { initiator: 'cli' } })
    expect(rowOf(inPerson)).toMatchObject({ callerKind: 'member', memberId: 'm', detail: { initiator: 'portal' } })
  })

  it('counts idempotency keys in the app, or in the organization outside of one', () => {
    const repeatsAt = (params: Record<string, string>) => admitOperator(byToken, { params }, { scope: null }).repeats
    expect(repeatsAt({ app_id: 'a' })).toEqual({ scopeId: 'a', by: 'm' })
    expect(repeatsAt({})).toEqual({ scopeId: 'o', by: 'm' })
  })
})
