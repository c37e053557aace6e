/**
 * RFC 8785 (JSON Canonicalization Scheme): strings, finite numbers, booleans, null, arrays, plain objects.
 * Members that are undefined are left out. Strings are written in NFC and well-formed. Other values throw a TypeError.
 */
export function canonicalJson(value: unknown): string {
  if (value === null) return 'null'
  switch (typeof value) {
    case 'string':
      return canonicalString(value)
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`canonical JSON cannot hold ${value}`)
      // RFC 8785, 3.2.2.3: a number is written as ECMAScript writes it.
      return JSON.stringify(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object': {
      if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
      const entries = value as Record<string, unknown>
      let text = ''
      for (const name of sorted(Object.keys(entries))) {
        const member = entries[name]
        if (member === undefined) continue
        text += `${text === '' ? '' : ','}${canonicalString(name)}:${canonicalJson(member)}`
      }
      return `{${text}}`
    }
    default:
      throw new TypeError(`canonical JSON cannot hold a ${typeof value}`)
  }
}

/** Most objects that are written often are made in order already, and then need no sorting. */
function sorted(names: string[]): string[] {
  for (let i = 1; i < names.length; i++) if (names[i - 1]! > names[i]!) return names.sort()
  return names
}

const ASCII_ONLY = /^[\x20-\x7e]*$/
const ASCII_UNESCAPED = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/

/** A JSON string; JSON.stringify escapes exactly as RFC 8785, 3.2.2.2 asks once the text is well-formed. */
export function canonicalString(text: string): string {
  if (ASCII_UNESCAPED.test(text)) return `"${text}"`
  return JSON.stringify(ASCII_ONLY.test(text) ? text : text.toWellFormed().normalize('NFC'))
}
