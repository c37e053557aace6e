import type { ApprovalConfig, ErrorCode } from '@alter-vault/contracts'
import type { Match, Undecided } from './condition.ts'
import type { Moment } from './moment.ts'

/** One use of a budget, to be charged in the transaction that stores the intent row. */
export type BudgetUse = {
  /** Names the rule, the budget's shape and whom it is counted for. */
  counterId: string
  limit: number
  windowMs: number
  /** Number of the window that is being filled, when windows have fixed starts; null when the window slides. Only grows. */
  fixedWindow: number | null
  /** Up to 10 uses a second, or fixed windows: charged one by one. Faster ones may be charged from leased slices. */
  exact: boolean
  /** The latest moment at which a refused use can succeed, in milliseconds since the Unix epoch. Asked for after a refusal only. */
  retryAtMs(): number
}

/** What a rule does to a request. */
export type Firing =
  | { kind: 'deny'; code: ErrorCode; message: string; details: Record<string, unknown>; retryableAtMs?: number }
  | { kind: 'hold'; approval: ApprovalConfig; details: Record<string, unknown> }
  | { kind: 'redact'; fields: readonly string[] }
  | { kind: 'charge'; use: BudgetUse }

/** A compiled rule body: null when the rule does not concern the request or is content with it. Pure. */
export type EvaluateRule = (moment: Moment) => Firing | null

/** Makes a denial; an undecided condition is told in its details. */
export function deny(
  code: ErrorCode,
  message: string,
  match: Match = true,
  details: Record<string, unknown> = {},
): Firing & { kind: 'deny' } {
  return { kind: 'deny', code, message, details: detailsOf(match, details) }
}

/** The details of a firing whose condition was decided or not. */
export function detailsOf(match: Match, details: Record<string, unknown> = {}): Record<string, unknown> {
  return typeof match === 'boolean' ? details : { ...details, cause: match.cause, attribute: match.attribute }
}

/** An attribute that cannot be known, outside a `when`. */
export function undecidedOn(attribute: string, cause: Undecided['cause'] = 'attribute_unknown'): Undecided {
  return { cause, attribute }
}
