/*
 * Which names one server takes for another. Readers fold letter case (Go, .NET), compatibility forms, spelling (`amount_cents` and
 * `amountCents` are one in protocol buffers) and what stands around a name in a query or form: PHP drops spaces and what follows a
 * NUL and turns `.` into `_`; Rack, PHP and qs read `amount[]`, `[amount]` and `amount[x]` as `amount`.
 */

const ASCII = /^[\0-\x7f]*$/
const FOLDED = /^[a-z0-9]+$/

/** A text without the differences of letter case, in any script. */
export function foldCase(text: string): string {
  return ASCII.test(text) ? text.toLowerCase() : text.normalize('NFKC').toUpperCase().toLowerCase()
}

/** What is left of a name when a reader folds all that any reader is known to fold. Equal skeletons may be one name to somebody. */
export function skeletonOf(name: string): string {
  if (FOLDED.test(name)) return name
  const folded = foldCase(name.split('\0', 1)[0]!)
  return folded.replace(/[^\p{L}\p{M}\p{N}]/gu, '') || folded
}

/** The skeletons of a parameter of a query or form: its own, and that of the list or object of which it may be a part. */
export function skeletonsOf(parameter: string): readonly string[] {
  if (FOLDED.test(parameter)) return [parameter]
  const base = parameter.replace(/^[[\]\s]+/, '').split(/[[\].]/, 1)[0]!
  return [skeletonOf(parameter), skeletonOf(base)]
}

/** A name that every reader takes as it is, apart from its letter case. */
const PLAIN = /^[\p{L}\p{M}\p{N}_$:@-]+$/u

export const isPlainName = (name: string): boolean => PLAIN.test(name)
