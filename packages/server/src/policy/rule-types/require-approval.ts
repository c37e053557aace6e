import type { RequireApprovalBody } from '@alter-vault/contracts'
import { compileCel, isCelFault } from '../cel/compile-cel.ts'
import { compileWhen } from '../condition.ts'
import { deny, detailsOf, type EvaluateRule } from '../firing.ts'

/** Holds what its conditions match; denies when its expression fails. */
export function compileRequireApproval(body: RequireApprovalBody): EvaluateRule {
  const when = compileWhen(body.when ?? {})
  const cel = body.cel === undefined ? undefined : compileCel(body.cel)
  if (cel !== undefined && isCelFault(cel)) throw new TypeError('the expression was not checked')
  return (moment) => {
    let match = when(moment)
    if (match === false) return null
    if (cel !== undefined) {
      const result = cel.evaluate(moment)
      if (result === false) return null
      if (result === 'failed') return deny('cel_failed', 'The expression of a rule has no result for this request.')
      if (match === true) match = result
    }
    return { kind: 'hold', approval: body.approval, details: detailsOf(match) }
  }
}
