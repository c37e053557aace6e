/** A media type by the grammar of RFC 9110, 8.3.1. Type and names of parameters in lower case, quoted values without their quotes. */
export type MediaType = { type: string; parameters: ReadonlyMap<string, string> }

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const TYPE = new RegExp(`^${TOKEN}/${TOKEN}`)
const PARAMETER = new RegExp(`[ \\t]*;[ \\t]*(?:(${TOKEN})=(?:(${TOKEN})|"((?:[^"\\\\]|\\\\.)*)"))?`, 'y')

/** Undefined for text that breaks the grammar or names a parameter twice: readers then understand different things. */
export function parseMediaType(text: string): MediaType | undefined {
  const type = TYPE.exec(text)?.[0]
  if (type === undefined) return undefined
  const parameters = new Map<string, string>()
  for (let at = type.length; at < text.length; at = PARAMETER.lastIndex) {
    PARAMETER.lastIndex = at
    const found = PARAMETER.exec(text)
    if (found === null) return undefined
    const [, written, token, quoted = ''] = found
    if (written === undefined) continue
    const name = written.toLowerCase()
    if (parameters.has(name)) return undefined
    parameters.set(name, token ?? quoted.replace(/\\(.)/g, '$1'))
  }
  return { type: type.toLowerCase(), parameters }
}
