/** The mark of a fact that cannot be known. A restricting condition on it counts as matched (docs/spec/decisions-and-rules.md#unknown). */
export const UNKNOWN: unique symbol = Symbol('unknown')

/** A present value, `null` when it is known not to exist, or {@link UNKNOWN}. */
export type Fact<T> = T | null | typeof UNKNOWN
