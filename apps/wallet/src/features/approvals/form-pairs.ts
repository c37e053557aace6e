/** One field of a form body. `repeated`: the name occurs more than once, so two readers may take two values. */
export type FormPair = { name: string; value: string; repeated: boolean }

/** Reads `application/x-www-form-urlencoded` text in order, keeping repeats. Source: WHATWG URL Standard, 5.1. */
export function formPairs(text: string): FormPair[] {
  const pairs = [...new URLSearchParams(text.replace(/^\?/, '%3F'))]
  const counts = new Map<string, number>()
  for (const [name] of pairs) counts.set(name, (counts.get(name) ?? 0) + 1)
  return pairs.map(([name, value]) => ({ name, value, repeated: (counts.get(name) ?? 0) > 1 }))
}
