import type { ContentMatchBody } from '@alter-vault/contracts'
import type { Match } from '../condition.ts'
import { UNKNOWN } from '../fact.ts'
import { deny, type EvaluateRule, undecidedOn } from '../firing.ts'
import { compileGlob } from '../glob.ts'
import { compileOpeningTimes } from '../time-window.ts'

type Param = NonNullable<ContentMatchBody['params']>[number]
type Truth = boolean | typeof UNKNOWN
type Test = (value: unknown) => Truth

/**
 * Denies, redacts or asks for a fresh sign-in when the request is one of the operations and all `params` fire. A request that no
 * stored specification knows is denied while the rule is there; in retrieve mode every effect denies.
 */
export function compileContentMatch(body: ContentMatchBody): EvaluateRule {
  const operations = new Set(body.match.operations ?? [])
  const families = new Set<string>(body.match.families ?? [])
  const params = (body.params ?? []).map((param) => ({ name: param.name, test: compileParam(param) }))
  const denied = 'A rule denies this operation.'

  return (moment) => {
    const { request } = moment.context
    if (request === UNKNOWN) {
      return deny('content_denied', denied, undecidedOn('request', 'request_shape_unavailable'))
    }
    const facts = request.operation
    if (facts === UNKNOWN || facts === null) {
      return deny('operation_unclassified', 'The request fits no operation that the server knows of this provider.')
    }
    if (!operations.has(facts.operation) && !(facts.family !== null && families.has(facts.family))) return null
    let match: Match = true
    for (const { name, test } of params) {
      const value = facts.param(name)
      const fires = value === UNKNOWN ? UNKNOWN : test(value)
      if (fires === false) return null
      if (fires === UNKNOWN && match === true) match = undecidedOn(`params.${name}`)
    }
    switch (body.effect) {
      case 'deny':
        return deny('content_denied', denied, match)
      case 'redact':
        return { kind: 'redact', fields: body.redact?.fields ?? [] }
      case 'step_up': {
        const maxAgeMs = (body.step_up?.max_session_age_seconds ?? 0) * 1000
        const authTimeMs = moment.context.user?.authTimeMs ?? null
        if (authTimeMs !== null && moment.atMs - authTimeMs <= maxAgeMs) return null
        return deny('step_up_required', 'This operation needs a recent sign-in of the user.', match)
      }
    }
  }
}

/** Absent fires nothing but `not_subset_of`; a value of another type than the operator needs is unknown and fires. */
function compileParam(param: Param): Test {
  const test = compileOperator(param)
  const onAbsent = param.op === 'not_subset_of'
  return (value) => {
    const values = Array.isArray(value) ? value : [value]
    if (value === null || values.length === 0) return onAbsent
    let truth: Truth = false
    for (const one of values) {
      const fires = test(one)
      if (fires === true) return true
      if (fires === UNKNOWN) truth = UNKNOWN
    }
    return truth
  }
}

function compileOperator(param: Param): Test {
  switch (param.op) {
    case 'equals': {
      const wanted = typeof param.value === 'string' ? folded(param.value) : param.value
      return (value) => {
        if (typeof value !== typeof wanted) return UNKNOWN
        return (typeof value === 'string' ? folded(value) : value) === wanted
      }
    }
    case 'any_in':
    case 'not_subset_of': {
      const globs = param.value.map((glob) => compileGlob(folded(glob), 'text'))
      const isListed = param.op === 'any_in'
      return (value) => {
        if (typeof value !== 'string') return UNKNOWN
        const text = folded(value)
        return globs.some((matches) => matches(text)) === isListed
      }
    }
    case 'gt':
      return numeric((value) => value > param.value)
    case 'gte':
      return numeric((value) => value >= param.value)
    case 'lt':
      return numeric((value) => value < param.value)
    case 'lte':
      return numeric((value) => value <= param.value)
    case 'outside_windows': {
      const times = compileOpeningTimes(param.value)
      // Only one moment with a zone can be placed; a recurring event is another shape, stays unknown and so is refused.
      return (value) => {
        const atMs = typeof value === 'string' && ZONED_TIME.test(value) ? Date.parse(value) : Number.NaN
        return times === undefined || Number.isNaN(atMs) ? UNKNOWN : !times.isOpen(atMs)
      }
    }
  }
}

const ZONED_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/

function numeric(test: (value: number) => boolean): Test {
  return (value) => (typeof value === 'number' ? test(value) : UNKNOWN)
}

function folded(text: string): string {
  return text.trim().toLowerCase()
}
