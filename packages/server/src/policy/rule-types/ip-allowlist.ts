import type { IpAllowlistBody } from '@alter-vault/contracts'
import { type IpRange, parseCidr } from '../../kernel/ip-range.ts'
import { compileWhen } from '../condition.ts'
import { UNKNOWN } from '../fact.ts'
import { deny, type EvaluateRule, undecidedOn } from '../firing.ts'

/** Denies a client outside the ranges, and a client whose address is not known. */
export function compileIpAllowlist(body: IpAllowlistBody): EvaluateRule {
  const ranges = body.cidrs.map((cidr) => parseCidr(cidr) as IpRange)
  const when = compileWhen(body.when ?? {})
  const message = 'The client address is in none of the allowed ranges.'
  return (moment) => {
    const match = when(moment)
    if (match === false) return null
    const address = moment.clientAddress()
    if (address === UNKNOWN || address === null) return deny('ip_not_allowed', message, undecidedOn('client_ip'))
    for (const range of ranges) if (range.contains(address)) return null
    return deny('ip_not_allowed', message, match)
  }
}
