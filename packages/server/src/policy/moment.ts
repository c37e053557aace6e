import type { DecisionPhase } from '@alter-vault/contracts'
import { type Address, parseAddress } from '../kernel/ip-range.ts'
import { type Fact, UNKNOWN } from './fact.ts'
import type { PolicyContext } from './policy-context.ts'

/** One evaluation: the context, the instant it is judged at, and the phase. */
export type Moment = {
  readonly context: PolicyContext
  readonly atMs: number
  readonly phase: DecisionPhase
  /** The client's address; unknown when it is not known or does not parse. Parsed at most once. */
  clientAddress(): Fact<Address>
}

export function createMoment(context: PolicyContext, atMs: number, phase: DecisionPhase): Moment {
  let address: Fact<Address> | undefined
  return {
    context,
    atMs,
    phase,
    clientAddress() {
      if (address === undefined) {
        const text = context.clientIp
        address = typeof text === 'string' ? (parseAddress(text) ?? UNKNOWN) : text
      }
      return address
    },
  }
}
