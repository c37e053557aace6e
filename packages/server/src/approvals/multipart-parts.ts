import { hash } from 'node:crypto'
import type { BodyView } from '@alter-vault/contracts'

type Part = NonNullable<BodyView['parts']>[number]

const CRLF = Buffer.from('\r\n')
const HEADERS_END = Buffer.from('\r\n\r\n')
const DASHES = '--'

/**
 * The parts of a multipart body (RFC 2046, 5.1.1; RFC 7578), or null when it is not one: readers could then find other parts
 * than we would show.
 */
export function multipartParts(body: Buffer, boundary: string): Part[] | null {
  const whole = Buffer.concat([CRLF, body])
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  const parts: Part[] = []
  let at = whole.indexOf(delimiter)
  // Text before the first delimiter would be skipped by a reader, and not be shown by us.
  if (at !== 0) return null
  for (;;) {
    const after = at + delimiter.length
    if (whole.toString('latin1', after, after + 2) === DASHES) {
      const rest = whole.subarray(after + 2)
      return rest.length === 0 || rest.equals(CRLF) ? parts : null
    }
    if (!whole.subarray(after, after + 2).equals(CRLF)) return null
    const next = whole.indexOf(delimiter, after)
    if (next < 0) return null
    const part = whole.subarray(after, next)
    const headersEnd = part.indexOf(HEADERS_END)
    if (headersEnd < 0) return null
    parts.push(toPart(part.toString('utf8', 2, headersEnd), part.subarray(headersEnd + HEADERS_END.length)))
    at = next
  }
}

function toPart(headerText: string, content: Buffer): Part {
  const headers = new Map(
    headerText.split('\r\n').map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  const disposition = headers.get('content-disposition') ?? ''
  return {
    name: parameterOf(disposition, 'name'),
    filename: parameterOf(disposition, 'filename'),
    content_type: headers.get('content-type') ?? null,
    size_bytes: content.length,
    sha256: hash('sha256', content, 'hex'),
  }
}

/** The value of a header parameter, quoted or not; null without it. */
export function parameterOf(header: string, name: string): string | null {
  const found = new RegExp(`;\\s*${name}\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|([^;\\s]+))`, 'i').exec(header)
  if (found === null) return null
  return found[1] === undefined ? found[2]! : found[1].replace(/\\(.)/g, '$1')
}
