/**
 * Parses JSON that only one reading is possible of. Undefined for invalid JSON, an object that names a member twice (RFC 8259, 4:
 * readers then disagree which one counts) and a lone surrogate. `maxDepth` counts nested arrays and objects.
 */
export function parseStrictJson(text: string, maxDepth = Number.POSITIVE_INFINITY): { value: unknown } | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  return isUnambiguous(text, maxDepth) ? { value } : undefined
}

/** Walks text that is known to be valid JSON, so only strings and brackets need attention. */
function isUnambiguous(text: string, maxDepth: number): boolean {
  const members: (Set<string> | null)[] = []
  let i = 0
  while (i < text.length) {
    switch (text.charCodeAt(i)) {
      case 0x7b:
        members.push(new Set())
        break
      case 0x5b:
        members.push(null)
        break
      case 0x7d:
      case 0x5d:
        members.pop()
        break
      case 0x22: {
        const end = endOfString(text, i + 1)
        const raw = text.slice(i + 1, end)
        const string = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw
        if (!string.isWellFormed()) return false
        i = end
        const names = members.at(-1)
        if (names instanceof Set && isMemberName(text, end + 1)) {
          if (names.has(string)) return false
          names.add(string)
        }
        break
      }
    }
    if (members.length > maxDepth) return false
    i++
  }
  return true
}

function endOfString(text: string, from: number): number {
  let i = from
  while (text.charCodeAt(i) !== 0x22) i += text.charCodeAt(i) === 0x5c ? 2 : 1
  return i
}

function isMemberName(text: string, from: number): boolean {
  let i = from
  for (;;) {
    const code = text.charCodeAt(i)
    if (code !== 0x20 && code !== 0x09 && code !== 0x0a && code !== 0x0d) return code === 0x3a
    i++
  }
}
