import type { JsonMatchBody } from '@alter-vault/contracts'
import { compileWhen } from '../condition.ts'
import { deny, type EvaluateRule } from '../firing.ts'

/** Denies what its conditions match. */
export function compileJsonMatch(body: JsonMatchBody): EvaluateRule {
  const when = compileWhen(body.when)
  return (moment) => {
    const match = when(moment)
    return match === false ? null : deny('policy_denied', 'A rule denies this request.', match)
  }
}
