import type { Undecided } from '../condition.ts'
import type { Moment } from '../moment.ts'

/** What an expression may spend on one request: one unit a step, one more for each ten characters that a text function reads. */
export const CEL_COST_LIMIT = 10_000

/** One evaluation of an expression: what it looks at, what it has spent, its macro variables by slot. */
export type Frame = {
  readonly moment: Moment
  /** The reading of the path that is looked at; null: there is but one. */
  readonly path: string | null
  cost: number
  readonly locals: unknown[]
}
export type Evaluate = (frame: Frame) => unknown

/** What evaluation stops at. One instance for each cause: they are thrown on the hot path and carry no stack worth keeping. */
export class EvaluationStop extends Error {}
/** The expression has an error for this request. */
export const failure = new EvaluationStop('failed')
/** The expression spent more than {@link CEL_COST_LIMIT}; unlike an error, nothing beside it may still decide. */
export const overCost = new EvaluationStop('over cost')
/** The expression read an attribute that cannot be known. */
export class UnknownRead extends EvaluationStop {
  readonly undecided: Undecided
  constructor(undecided: Undecided) {
    super('unknown')
    this.undecided = undecided
  }
}

export function fail(): never {
  throw failure
}

/** Charges units to the evaluation; stops it when they are spent. */
export function spend(frame: Frame, units: number): void {
  frame.cost += units
  if (frame.cost > CEL_COST_LIMIT) throw overCost
}

/** Charges the reading of texts. */
export function spendOnText(frame: Frame, ...texts: readonly string[]): void {
  for (const text of texts) spend(frame, Math.ceil(text.length / 10))
}
