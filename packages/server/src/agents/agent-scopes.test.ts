import type { AgentScopes } from '@alter-vault/contracts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { agentMayUse, parseAgentScopes, planScopeChange, type StoredScopes, scopesInForce } from './agent-scopes.ts'

const provider = fc.constantFrom('stripe', 'github', 'managed_secret_slugs')
const list = fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { minLength: 1 })
const map: fc.Arbitrary<AgentScopes> = fc.dictionary(provider, list, { noNullPrototype: true })
const seconds = fc.constantFrom(0, 60, 3_600, 86_400)

const pairs = (scopes: AgentScopes): Set<string> =>
  new Set(Object.entries(scopes).flatMap(([name, values]) => values.map((value) => `${name} ${value}`)))
const at = (stored: StoredScopes, ms: number) => pairs(scopesInForce(stored, ms).scopes)

describe('a change of an agent’s scopes', () => {
  it('ends at the desired map, and never holds anything that neither map holds', () => {
    fc.assert(
      fc.property(map, map, seconds, seconds, (current, desired, graceSeconds, wideningDelaySeconds) => {
        const plan = planScopeChange({
          current,
          desired,
          nowMs: 0,
          graceSeconds,
          wideningDelaySeconds,
          knowsVersion: true,
        })
        expect(at(plan, 10 ** 9)).toEqual(pairs(desired))
        for (const pair of at(plan, 0)) expect(pairs(current).has(pair) || pairs(desired).has(pair)).toBe(true)
        for (const values of Object.values(plan.scopes)) expect(values.length).toBeGreaterThan(0)
      }),
    )
  })

  it('adds nothing before the widening delay and removes nothing before the grace', () => {
    fc.assert(
      fc.property(map, map, seconds, seconds, (current, desired, graceSeconds, wideningDelaySeconds) => {
        const plan = planScopeChange({
          current,
          desired,
          nowMs: 0,
          graceSeconds,
          wideningDelaySeconds,
          knowsVersion: true,
        })
        for (const ms of [0, 59_999, 60_000, 3_599_999, 86_399_999]) {
          const now = at(plan, ms)
          for (const pair of pairs(desired)) {
            if (!pairs(current).has(pair) && ms < wideningDelaySeconds * 1_000) expect(now.has(pair)).toBe(false)
          }
          for (const pair of pairs(current)) {
            if (!pairs(desired).has(pair) && ms < graceSeconds * 1_000) expect(now.has(pair)).toBe(true)
          }
        }
      }),
    )
  })

  it('adds at once and removes after a day when nobody says otherwise', () => {
    const change = { nowMs: 0, wideningDelaySeconds: 0, knowsVersion: true }
    const plan = planScopeChange({ ...change, current: { stripe: ['a'] }, desired: { stripe: ['b'] } })
    expect(plan).toEqual({
      scopes: { stripe: ['a', 'b'] },
      scopesPending: { stripe: ['b'] },
      scopesAppliesAt: new Date(86_400_000),
    })
  })

  it('removes at once with a grace of 0, also while an addition waits', () => {
    const plan = planScopeChange({
      current: { stripe: ['a'] },
      desired: { github: ['b'] },
      nowMs: 0,
      graceSeconds: 0,
      wideningDelaySeconds: 60,
      knowsVersion: true,
    })
    expect(plan).toEqual({ scopes: {}, scopesPending: { github: ['b'] }, scopesAppliesAt: new Date(60_000) })
  })

  it('refuses to remove for an author who did not say which version they saw', () => {
    const change = { nowMs: 0, wideningDelaySeconds: 0, knowsVersion: false }
    const narrow = () => planScopeChange({ ...change, current: { stripe: ['a', 'b'] }, desired: { stripe: ['a'] } })
    expect(narrow).toThrow(expect.objectContaining({ code: 'agent_scope_narrowing_not_supported' }))
    const widen = planScopeChange({ ...change, current: { stripe: ['a'] }, desired: { stripe: ['a', 'b'] } })
    expect(widen.scopes).toEqual({ stripe: ['a', 'b'] })
  })

  it('takes back what waited when the map in force is asked for again', () => {
    const current = { stripe: ['a'] }
    const again = planScopeChange({
      current,
      desired: current,
      nowMs: 0,
      wideningDelaySeconds: 60,
      knowsVersion: false,
    })
    expect(again).toEqual({ scopes: current, scopesPending: null, scopesAppliesAt: null })
  })
})

describe('a scope map', () => {
  it('loses repeats and is at most 12 KiB', () => {
    expect(parseAgentScopes({ stripe: ['a', 'a'] })).toEqual({ stripe: ['a'] })
    const many = { stripe: Array.from({ length: 2_000 }, (_, n) => `scope-${n}`) }
    expect(() => parseAgentScopes(many)).toThrow(expect.objectContaining({ code: 'validation_failed' }))
  })
  it('may name a provider like a member of every object', () => {
    const desired = { constructor: ['a'] } as unknown as AgentScopes
    const plan = planScopeChange({ current: {}, desired, nowMs: 0, wideningDelaySeconds: 0, knowsVersion: false })
    expect(plan.scopes).toEqual({ constructor: ['a'] })
  })
})

describe('what an agent may use', () => {
  it.each([
    ['managed_secret', 'stripe', { managed_secret_slugs: ['stripe'] }, true],
    ['managed_secret', 'stripe', { stripe: ['charges.read'] }, false],
    ['managed_secret', 'stripe', {}, false],
    ['oauth', 'github', { github: ['repo'] }, true],
    ['oauth', 'github', { github: [] }, false],
    ['oauth', 'github', { managed_secret_slugs: ['github'] }, false],
    ['oauth', 'managed_secret_slugs', { managed_secret_slugs: ['github'] }, false],
    ['oauth', 'constructor', {}, false],
  ] as const)('on a %s named "%s" under %o: %s', (kind, providerId, scopes, expected) => {
    expect(agentMayUse(scopes as AgentScopes, { kind, providerId })).toBe(expected)
  })
})
