/** Strings and structure of a JSON text; a string is taken whole, so what looks like structure inside it does not count. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],]/g

/** True when an object of this valid JSON text names a member twice: readers then disagree which one counts (RFC 8259, 4). */
export function namesMemberTwice(json: string): boolean {
  /** The names of each open object, null for an open array. */
  const open: (Set<string> | null)[] = []
  let nameIsNext = false
  for (const [token] of json.matchAll(TOKEN)) {
    if (token === '{' || token === '[') {
      open.push(token === '{' ? new Set() : null)
      nameIsNext = token === '{'
    } else if (token === '}' || token === ']') {
      open.pop()
      nameIsNext = false
    } else if (token === ',') {
      nameIsNext = open.at(-1) instanceof Set
    } else if (nameIsNext) {
      const name = JSON.parse(token) as string
      const names = open.at(-1)!
      if (names.has(name)) return true
      names.add(name)
      nameIsNext = false
    }
  }
  return false
}
