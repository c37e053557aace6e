import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  closeTokenScopes,
  defaultTokenScopes,
  type OperatorRole,
  parseTokenScope,
  roleTokenScopes,
  tokenScopes,
  tokenScopesInForce,
} from './token-scopes.ts'

const list = fc.array(fc.constantFrom(...tokenScopes), { maxLength: 8 })
const role = fc.constantFrom<OperatorRole>('owner', 'admin', 'developer', 'auditor', 'approver')

describe('token scopes', () => {
  it('are written with their prefix and known by name', () => {
    expect(parseTokenScope('dashboard_keys:admin')).toBe('keys:admin')
    expect(parseTokenScope('keys:admin')).toBeUndefined()
    expect(parseTokenScope('dashboard_keys:*')).toBeUndefined()
    expect(parseTokenScope('dashboard_grants:write')).toBeUndefined()
  })
  it('imply the weaker verbs of their resource', () => {
    expect(new Set(closeTokenScopes(['keys:admin']))).toEqual(new Set(['keys:admin', 'keys:write', 'keys:read']))
    expect(new Set(closeTokenScopes(['grants:admin']))).toEqual(new Set(['grants:admin', 'grants:read']))
  })
  it('let delete, create and webhooks imply reading alone', () => {
    expect(new Set(closeTokenScopes(['apps:delete']))).toEqual(new Set(['apps:delete', 'apps:read']))
    expect(new Set(closeTokenScopes(['identity_providers:webhooks']))).toEqual(
      new Set(['identity_providers:webhooks', 'identity_providers:read']),
    )
  })
  it('of a login hold nothing that revokes, deletes, withdraws or reads the organization', () => {
    expect(defaultTokenScopes).toContain('keys:write')
    expect(defaultTokenScopes).toContain('audit:read')
    expect(defaultTokenScopes).not.toContain('keys:admin')
    expect(defaultTokenScopes).not.toContain('apps:delete')
    expect(defaultTokenScopes).not.toContain('approvals:write')
    expect(defaultTokenScopes).not.toContain('org:read')
  })
})

describe('a token in the hands of a role', () => {
  it('never gives more than the role', () => {
    fc.assert(
      fc.property(list, role, (granted, holder) => {
        for (const scope of tokenScopesInForce(granted, holder)) expect(roleTokenScopes[holder]).toContain(scope)
      }),
    )
  })
  it('never gives more than the token', () => {
    fc.assert(
      fc.property(list, role, (granted, holder) => {
        const closed = closeTokenScopes(granted)
        for (const scope of tokenScopesInForce(granted, holder)) expect(closed).toContain(scope)
      }),
    )
  })
  it('loses what the member lost, and keeps reading for an auditor', () => {
    expect(tokenScopesInForce(['keys:admin'], 'auditor')).toEqual(['keys:read'])
    expect(tokenScopesInForce(['apps:delete'], 'developer')).toEqual(['apps:read'])
    expect(tokenScopesInForce([...tokenScopes], 'approver')).toEqual([])
  })
})
