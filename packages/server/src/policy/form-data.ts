/**
 * Reads `application/x-www-form-urlencoded` text (WHATWG URL, 5.1): decoded name → decoded values in order.
 * Strict: undefined when an escape or its UTF-8 is broken, since two readers may then understand two things.
 */
export function parseForm(text: string): Map<string, string[]> | undefined {
  const values = new Map<string, string[]>()
  for (const pair of text.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = decode(equals === -1 ? pair : pair.slice(0, equals))
    const value = decode(equals === -1 ? '' : pair.slice(equals + 1))
    if (name === undefined || value === undefined) return undefined
    const known = values.get(name)
    if (known === undefined) values.set(name, [value])
    else known.push(value)
  }
  return values
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
