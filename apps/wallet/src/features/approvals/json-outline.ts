/** A piece of JSON exactly as it stands in the source. `reads`: what an escaped string says. `repeated`: a member named twice. */
export type JsonToken = {
  kind: 'punctuation' | 'key' | 'string' | 'number' | 'word'
  source: string
  reads?: string
  repeated?: boolean
}
export type JsonLine = { depth: number; tokens: JsonToken[] }
export type JsonOutline = { lines: JsonLine[]; repeatedKeys: string[] }

/* A string that a cut left open is one token too. Each character fits in one way only, so that reading takes time by length alone. */
const TOKEN = /[ \t\r\n]+|"[^"\\]*(?:\\[\s\S][^"\\]*)*"?|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]/y
const UNICODE_ESCAPE = /\\u[0-9a-fA-F]{4}/

const isValid = (text: string) => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function decoded(source: string): string | undefined {
  try {
    return JSON.parse(source) as string
  } catch {
    return undefined
  }
}

/* Readers such as Go's and .NET's take two letter cases for one name. */
const foldCase = (name: string) => name.normalize('NFKC').toUpperCase().toLowerCase()

/**
 * Lays JSON out one member a line without reading any value: numbers keep every digit, strings their escapes, repeated members stay
 * and are marked. Only white space between tokens is lost. Undefined when the text is not JSON; with `cut` the text may end anywhere.
 */
export function outlineJson(text: string, { cut }: { cut: boolean }): JsonOutline | undefined {
  if (!cut && !isValid(text)) return undefined

  const lines: JsonLine[] = []
  const repeatedKeys: string[] = []
  const open: { isObject: boolean; keys: Map<string, JsonToken> }[] = []
  let line: JsonLine = { depth: 0, tokens: [] }
  let expectsKey = false

  const breakLine = () => {
    if (line.tokens.length) lines.push(line)
    line = { depth: open.length, tokens: [] }
  }
  const punctuate = (source: string) => {
    const last = line.tokens.at(-1)
    if (last?.kind === 'punctuation') last.source += source
    else line.tokens.push({ kind: 'punctuation', source })
  }
  const addKey = (token: JsonToken) => {
    const keys = open.at(-1)?.keys
    const name = foldCase(token.reads ?? decoded(token.source) ?? token.source)
    const first = keys?.get(name)
    if (first) {
      if (!first.repeated) repeatedKeys.push(name)
      first.repeated = true
      token.repeated = true
    } else {
      keys?.set(name, token)
    }
  }

  let at = 0
  while (at < text.length) {
    TOKEN.lastIndex = at
    const source = TOKEN.exec(text)?.[0]
    if (source === undefined) {
      if (!cut) return undefined
      line.tokens.push({ kind: 'string', source: text.slice(at) })
      break
    }
    at += source.length
    const first = source[0] as string
    if (' \t\r\n'.includes(first)) continue

    if (first === '{' || first === '[') {
      punctuate(source)
      open.push({ isObject: first === '{', keys: new Map() })
      expectsKey = first === '{'
      const rest = /^[ \t\r\n]*([}\]])/.exec(text.slice(at, at + 64))
      if (rest) {
        open.pop()
        punctuate(rest[1] as string)
        at += rest[0].length
        expectsKey = false
      } else {
        breakLine()
      }
    } else if (first === '}' || first === ']') {
      open.pop()
      expectsKey = false
      breakLine()
      punctuate(source)
    } else if (first === ',') {
      punctuate(source)
      breakLine()
      expectsKey = open.at(-1)?.isObject ?? false
    } else if (first === ':') {
      punctuate(': ')
      expectsKey = false
    } else if (first === '"') {
      const reads = UNICODE_ESCAPE.test(source) ? decoded(source) : undefined
      const token: JsonToken = {
        kind: expectsKey ? 'key' : 'string',
        source,
        ...(reads === undefined ? {} : { reads }),
      }
      if (expectsKey) addKey(token)
      line.tokens.push(token)
    } else {
      line.tokens.push({ kind: /[-\d]/.test(first) ? 'number' : 'word', source })
    }
  }
  breakLine()
  return { lines, repeatedKeys }
}
