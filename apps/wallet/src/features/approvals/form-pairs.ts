/** One field of a query or a form. `repeated`: the name occurs more than once, so two readers may take two values. */
export type FormPair = { name: string; value: string; repeated: boolean }

/** Says of each field whether its name is there again. */
export function withRepeats(pairs: readonly { name: string; value: string }[]): FormPair[] {
  const counts = new Map<string, number>()
  for (const { name } of pairs) counts.set(name, (counts.get(name) ?? 0) + 1)
  return pairs.map(({ name, value }) => ({ name, value, repeated: (counts.get(name) ?? 0) > 1 }))
}

/** Reads `application/x-www-form-urlencoded` text in order, keeping repeats. Source: WHATWG URL Standard, 5.1. */
export const formPairs = (text: string): FormPair[] =>
  withRepeats([...new URLSearchParams(text.replace(/^\?/, '%3F'))].map(([name, value]) => ({ name, value })))
