import type { CelBody } from '@alter-vault/contracts'
import { compileCel, isCelFault } from '../cel/compile-cel.ts'
import { deny, detailsOf, type EvaluateRule } from '../firing.ts'

/** Denies or holds when the expression is true or unknown; denies when it fails. */
export function compileCelRule(body: CelBody): EvaluateRule {
  const cel = compileCel(body.expression)
  if (isCelFault(cel)) throw new TypeError('the expression was not checked')
  return (moment) => {
    const result = cel.evaluate(moment)
    if (result === false) return null
    if (result === 'failed') return deny('cel_failed', 'The expression of a rule has no result for this request.')
    if (body.effect === 'deny') return deny('cel_denied', 'The expression of a rule denies this request.', result)
    return { kind: 'hold', approval: body.approval ?? {}, details: detailsOf(result) }
  }
}
