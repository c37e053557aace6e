/**
 * The text that a request's signature covers (docs/spec/wire-protocol.md#signing-a-request), rebuilt from the request as it came. It
 * follows the reference client to the letter, so the whole path is decoded, malformed escapes included, and the query is sorted and
 * encoded by form rules.
 */
export type SignedParts = {
  method: string
  /** Path and query as on the request line. */
  target: string
  timestamp: string
  nonce: string
  contentSha256: string
  scopeConstraints: string
  requestRule: string | undefined
  caller: string | undefined
  callerType: string | undefined
  actorId: string | undefined
  context: string | undefined
}

export function stringToSign(parts: SignedParts): string {
  let text = `${parts.method}\n${signedTarget(parts.target)}\n${parts.timestamp}\n${parts.nonce}\n${parts.contentSha256}\n${parts.scopeConstraints}`
  if (parts.requestRule !== undefined) text += `\nrequest-rule:${parts.requestRule}`
  if (parts.caller) text += `\ncaller:${parts.caller}`
  if (parts.callerType) text += `\ncaller-type:${parts.callerType}`
  if (parts.actorId) text += `\nactor-id:${parts.actorId}`
  if (parts.context) text += `\nactor-context:${parts.context}`
  return text
}

/** True when one of the lines is present that make the client send a second signature header. */
export const hasActorLine = (parts: SignedParts): boolean =>
  Boolean(parts.caller || parts.callerType || parts.actorId || parts.context)

const PLAIN_TARGET = /^[A-Za-z0-9/_.~-]*$/

function signedTarget(target: string): string {
  if (PLAIN_TARGET.test(target)) return target
  const at = target.indexOf('?')
  const path = percentDecode(at < 0 ? target : target.slice(0, at), false)
  const query = at < 0 ? '' : canonicalQuery(target.slice(at + 1))
  return query === '' ? path : `${path}?${query}`
}

/** Pairs split on `&`, blank values kept, empty pieces dropped, sorted by code point, encoded again by form rules. */
function canonicalQuery(raw: string): string {
  const pairs = raw
    .split('&')
    .filter((piece) => piece !== '')
    .map((piece): [string, string] => {
      const at = piece.indexOf('=')
      return at < 0
        ? [percentDecode(piece, true), '']
        : [percentDecode(piece.slice(0, at), true), percentDecode(piece.slice(at + 1), true)]
    })
  pairs.sort((a, b) => compareCodePoints(a[0], b[0]) || compareCodePoints(a[1], b[1]))
  return pairs.map(([name, value]) => `${formEncode(name)}=${formEncode(value)}`).join('&')
}

/** Decodes what is a valid escape and keeps the rest; bytes that are not UTF-8 become U+FFFD. `decodeURIComponent` would throw. */
function percentDecode(text: string, plusIsSpace: boolean): string {
  const spaced = plusIsSpace ? text.replaceAll('+', ' ') : text
  if (!spaced.includes('%')) return spaced
  return spaced.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'))
}

function formEncode(text: string): string {
  let out = ''
  for (const byte of Buffer.from(text, 'utf8')) {
    const character = String.fromCharCode(byte)
    if (/[A-Za-z0-9_.~-]/.test(character)) out += character
    else if (byte === 0x20) out += '+'
    else out += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return out
}

function compareCodePoints(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'))
}
