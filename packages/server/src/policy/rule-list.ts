import type { RuleManagedBy, RuleTargetType } from '@alter-vault/contracts'
import { UNKNOWN } from './fact.ts'
import type { EvaluateRule } from './firing.ts'
import type { Moment } from './moment.ts'

/** A rule ready to be evaluated. `id`, `version`, `name` and `managedBy` are null for a one-off rule. */
export type CompiledRule = {
  readonly id: string | null
  readonly version: number | null
  readonly type: string
  readonly name: string | null
  readonly target: { readonly type: RuleTargetType | 'request'; readonly id: string | null }
  readonly managedBy: RuleManagedBy | null
  /** Evaluated and recorded; never changes the answer. */
  readonly shadow: boolean
  readonly expiresAtMs: number
  readonly evaluate: EvaluateRule
}

/** The rules on one target, in the order of their ids. */
export type RuleList = {
  readonly all: readonly CompiledRule[]
  /**
   * The rules that a proxied call of this method to this host has to be judged by. Each of the others is content with such a call,
   * whatever else is true of it. Rules that end are never left out, so that they stop to count when they end.
   */
  about(method: string, host: string): readonly CompiledRule[]
}

const MAX_REMEMBERED = 1_000

export function createRuleList(rules: readonly CompiledRule[]): RuleList {
  const all = Object.freeze([...rules])
  const remembered = new Map<string, Map<string, readonly CompiledRule[]>>()
  let count = 0
  return Object.freeze({
    all,
    about(method: string, host: string) {
      const known = remembered.get(method)?.get(host)
      if (known !== undefined || all.length === 0) return known ?? all
      if (count >= MAX_REMEMBERED) {
        remembered.clear()
        count = 0
      }
      const moment = partlyKnown(method, host)
      const list = all.filter((rule) => Number.isFinite(rule.expiresAtMs) || !isContent(rule, moment))
      const ofMethod = remembered.get(method) ?? new Map<string, readonly CompiledRule[]>()
      remembered.set(method, ofMethod.set(host, list))
      count++
      return list
    },
  })
}

/** An unknown attribute counts against the request, so a rule that is content while the rest is unknown is content with every rest. */
function isContent(rule: CompiledRule, moment: Moment): boolean {
  try {
    return rule.evaluate(moment) === null
  } catch {
    // Some rules calculate with facts that are never unknown, such as times.
    return false
  }
}

/** A proxied call of which method and host are known and nothing else: whatever else is asked of it is {@link UNKNOWN}. */
function partlyKnown(method: string, host: string): Moment {
  const unknownPart = new Proxy({}, { get: () => UNKNOWN })
  const known = { method, host, namesOtherMethod: false, pathReadings: { all: [UNKNOWN], loose: [UNKNOWN] } }
  const request = new Proxy(known as Record<string | symbol, unknown>, {
    get: (known, member) => (Object.hasOwn(known, member) ? known[member] : UNKNOWN),
  })
  const context = new Proxy({ mode: 'proxy', request } as Record<string | symbol, unknown>, {
    get: (known, member) => (Object.hasOwn(known, member) ? known[member] : unknownPart),
  })
  return { context, atMs: UNKNOWN, phase: UNKNOWN, clientAddress: () => UNKNOWN } as unknown as Moment
}
