import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  actionScopes,
  canonicalScope,
  canonicalScopes,
  closeScopes,
  managedAgentKeyScopes,
  scopeImplies,
  scopeResources,
  scopesImply,
  visibleInstances,
} from './scopes.ts'

const bareScopes = [
  ...actionScopes,
  ...Object.entries(scopeResources).flatMap(([resource, verbs]) => verbs.map((verb) => `${resource}:${verb}`)),
]
const bare = fc.constantFrom(...bareScopes)
const instance = fc.constantFrom('a1', 'b2', '00000000-0000-4000-8000-000000000001')
const scope = fc.oneof(
  bare,
  fc
    .tuple(bare, instance)
    .map(([text, id]) => ((actionScopes as readonly string[]).includes(text) ? text : `${text}:${id}`)),
)

describe('the scope catalog', () => {
  it.each(['*', '*:read', 'agents:*:', 'agents', 'agents:', ':read', 'providers:write', 'providers:*', 'usage:admin'])(
    'does not know %j',
    (text) => {
      expect(canonicalScope(text)).toBeUndefined()
    },
  )
  it.each([
    'tokens:retrieve:x',
    'agents:read:*',
    'agents:read:a b',
    'agents:read:a:b',
    'toString:read',
    '__proto__:read',
  ])('refuses %j', (text) => {
    expect(canonicalScope(text)).toBeUndefined()
  })
  it('reads another spelling of a scope as that scope', () => {
    expect(canonicalScope('connect:create')).toBe('connect:initiate')
    expect(canonicalScope('agents:*')).toBe('agents:admin')
    expect(canonicalScope('agents:*:a1')).toBe('agents:admin:a1')
  })
  it('keeps the order of a list, drops repeats and names every stranger', () => {
    expect(canonicalScopes(['proxy:execute', 'connect:create', 'connect:initiate'])).toEqual({
      ok: true,
      scopes: ['proxy:execute', 'connect:initiate'],
    })
    expect(canonicalScopes(['proxy:execute', 'everything', '*'])).toEqual({ ok: false, invalid: ['everything', '*'] })
  })
  it('holds every scope of a managed agent key', () => {
    expect(canonicalScopes(managedAgentKeyScopes)).toEqual({ ok: true, scopes: [...managedAgentKeyScopes] })
  })
})

describe('implication', () => {
  it('runs from admin over write to read, on one resource', () => {
    expect(scopeImplies('grants:admin', 'grants:read')).toBe(true)
    expect(scopeImplies('grants:write', 'grants:read')).toBe(true)
    expect(scopeImplies('grants:read', 'grants:write')).toBe(false)
    expect(scopeImplies('grants:admin', 'keys:read')).toBe(false)
  })
  it('runs from all instances to one, never back or across', () => {
    expect(scopeImplies('grants:read', 'grants:read:a1')).toBe(true)
    expect(scopeImplies('grants:admin:a1', 'grants:read:a1')).toBe(true)
    expect(scopeImplies('grants:read:a1', 'grants:read')).toBe(false)
    expect(scopeImplies('grants:admin:a1', 'grants:read:b2')).toBe(false)
  })
  it('never reaches an action scope from a resource of the same name', () => {
    expect(scopeImplies('keys:admin', 'keys:derive')).toBe(false)
  })
  it('is reflexive and transitive', () => {
    fc.assert(
      fc.property(scope, scope, scope, (a, b, c) => {
        expect(scopeImplies(a, a)).toBe(true)
        if (scopeImplies(a, b) && scopeImplies(b, c)) expect(scopeImplies(a, c)).toBe(true)
      }),
    )
  })
  it('is found by name in the closed list', () => {
    fc.assert(
      fc.property(fc.array(scope, { minLength: 1, maxLength: 6 }), bare, (held, asked) => {
        expect(closeScopes(held).includes(asked)).toBe(scopesImply(held, asked))
      }),
    )
  })
  it('closes a list once: closing again changes nothing', () => {
    fc.assert(
      fc.property(fc.array(scope, { maxLength: 6 }), (held) => {
        const closed = closeScopes(held)
        expect(new Set(closeScopes(closed))).toEqual(new Set(closed))
      }),
    )
  })
  it('never adds to what the list gave', () => {
    fc.assert(
      fc.property(fc.array(scope, { maxLength: 6 }), scope, (held, asked) => {
        expect(scopesImply(closeScopes(held), asked)).toBe(scopesImply(held, asked))
      }),
    )
  })
})

describe('visible instances', () => {
  it('are all of them for a bare scope, however narrow the others are', () => {
    expect(visibleInstances(['grants:read:a1', 'grants:admin'], 'grants', 'read')).toBeNull()
  })
  it('are the named ones for instance scopes of at least that verb', () => {
    expect(visibleInstances(['grants:read:a1', 'grants:write:b2', 'keys:read'], 'grants', 'read')).toEqual(['a1', 'b2'])
    expect(visibleInstances(['grants:read:a1', 'grants:write:b2'], 'grants', 'write')).toEqual(['b2'])
  })
  it('are none without a scope on the resource', () => {
    expect(visibleInstances(['keys:admin'], 'grants', 'read')).toEqual([])
  })
})
