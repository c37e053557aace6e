import type { DecisionState } from '@alter-vault/contracts'
import type { Group } from './approval.ts'

/** Why current policy would refuse to send this request although it is approved; empty when it would not. */
export type WouldBeDenied = (group: Group) => Promise<DecisionState['reasons']>
