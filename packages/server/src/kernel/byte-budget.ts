/** Bytes that may be held at one time: by everybody together, and by each owner. */
export type ByteBudget = {
  /** False, and nothing is taken, when they do not fit. */
  take(owner: string, bytes: number): boolean
  /** True when so many bytes would fit now. */
  fits(owner: string, bytes: number): boolean
  give(owner: string, bytes: number): void
  /** Held now. */
  readonly bytes: number
}

export type ByteBudgetLimits = { totalBytes: number; ownerBytes: number }

/** A sum of bounded parts is bounded only by a budget. Owners that hold nothing cost nothing. */
export function createByteBudget({ totalBytes, ownerBytes }: ByteBudgetLimits): ByteBudget {
  const held = new Map<string, number>()
  let total = 0
  const fits = (owner: string, bytes: number) =>
    total + bytes <= totalBytes && (held.get(owner) ?? 0) + bytes <= ownerBytes

  return {
    fits,
    take(owner, bytes) {
      if (!fits(owner, bytes)) return false
      total += bytes
      held.set(owner, (held.get(owner) ?? 0) + bytes)
      return true
    },
    give(owner, bytes) {
      total -= bytes
      const left = (held.get(owner) ?? 0) - bytes
      if (left > 0) held.set(owner, left)
      else held.delete(owner)
    },
    get bytes() {
      return total
    },
  }
}
