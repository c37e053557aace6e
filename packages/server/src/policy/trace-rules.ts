import type { RuleTrace } from '@alter-vault/contracts'
import { contextDocument, documentValue } from './context-document.ts'
import { type DecideInput, visitRules } from './decide.ts'
import type { Firing } from './firing.ts'
import { createMoment, type Moment } from './moment.ts'
import type { PolicyContext } from './policy-context.ts'

/**
 * What each rule on a use said of it, in the order of evaluation, with the attributes that it looked at
 * (docs/spec/decisions-and-rules.md#simulation). A second evaluation beside `decide`, for people: each rule gets a context that notes
 * what is read.
 */
export function traceRules(input: Pick<DecideInput, 'rules' | 'context' | 'atMs' | 'phase'>): RuleTrace[] {
  const traces: RuleTrace[] = []
  const found = readDocument(input)
  visitRules(input, (list) => {
    for (const rule of list.all) {
      if (rule.expiresAtMs <= input.atMs) continue
      const { moment, reads } = recordReads(input.context, input.atMs, input.phase)
      const firing = rule.evaluate(moment)
      const attributes: RuleTrace['attributes'] = {}
      for (const path of reads) {
        const [name, value] = found.get(path) ?? []
        if (name !== undefined) attributes[name] = value
      }
      traces.push({
        rule_id: rule.id,
        rule_name: rule.name,
        rule_type: rule.type,
        target: { type: rule.target.type, id: rule.target.id },
        shadow: rule.shadow,
        result: resultOf(firing),
        effect: firing?.kind ?? null,
        attributes,
      })
    }
  })
  return traces
}

function resultOf(firing: Firing | null): RuleTrace['result'] {
  if (firing === null) return 'not_matched'
  return 'details' in firing && typeof firing.details.cause === 'string' ? 'unknown' : 'matched'
}

/** A moment that notes the paths of the members that are read of it, such as `grant.createdAtMs`. */
function recordReads(
  context: PolicyContext,
  atMs: number,
  phase: DecideInput['phase'],
): { moment: Moment; reads: Set<string> } {
  const reads = new Set<string>()
  const plain = createMoment(recording(context, '', reads), atMs, phase)
  const moment: Moment = {
    context: plain.context,
    get atMs() {
      reads.add('atMs')
      return atMs
    },
    phase,
    clientAddress: plain.clientAddress,
  }
  return { moment, reads }
}

/** The parts of a context; whatever else a member holds is read as a whole. */
const PARTS: ReadonlySet<string> = new Set([
  'app',
  'provider',
  'key',
  'caller',
  'agent',
  'user',
  'principal',
  'grant',
  'request',
  'declared',
  'asserted',
  'approval',
])

/** Readings of a fact that has a name of its own. */
const SAME_FACT: Readonly<Record<string, string>> = {
  'request.namesOtherMethod': 'request.method',
  'request.pathReadings': 'request.path',
}

function recording<T extends object>(target: T, prefix: string, reads: Set<string>): T {
  return new Proxy(target, {
    get(of, member) {
      const value: unknown = Reflect.get(of, member)
      const path = `${prefix}${String(member)}`
      if (prefix === '' && PARTS.has(path) && typeof value === 'object' && value !== null) {
        return recording(value, `${path}.`, reads)
      }
      reads.add(SAME_FACT[path] ?? path)
      return value
    },
  })
}

/** By the path of a member of the context: its name in the context document, and its value. A part that is absent has its own name. */
function readDocument({
  context,
  atMs,
  phase,
}: Pick<DecideInput, 'context' | 'atMs' | 'phase'>): Map<string, [string, unknown]> {
  const document = new Map<string, [string, unknown]>()
  for (const [name, attribute] of Object.entries(contextDocument)) {
    const { moment, reads } = recordReads(context, atMs, phase)
    const value = documentValue(attribute, moment)
    for (const path of reads) document.set(path, [PARTS.has(path) ? path : name, value])
  }
  return document
}
