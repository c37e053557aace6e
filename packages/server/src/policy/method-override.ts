import { decodeFully } from '../kernel/escapes.ts'
import { foldCase } from '../kernel/names.ts'
import { FormData } from './form-data.ts'
import type { BodyReading } from './request-body.ts'

/** The word under any number of the backslashes that readers of multipart names take away. */
const HINT = /m\\*e\\*t\\*h\\*o\\*d/i
/** A name of its own, not the end of `payment_method`. */
const IN_TEXT =
  /(?<![a-z0-9])(?:[_.]|%5f|\\?u005f)(?:\\*h\\*t\\*t\\*p\\*_?)?m\\*e\\*t\\*h\\*o\\*d(?![a-z0-9])|method[-_.]?override/i

/**
 * True when frameworks may take a request for one of another method: Rack, Rails, Symfony, Laravel, Spring and Express read `_method`,
 * Salesforce `_HttpMethod`, from a query, a form, a multipart body or JSON. In a body that nobody can read, such a name anywhere counts.
 */
export function namesOtherMethod(query: string, body: Uint8Array | null, readBody: () => BodyReading | null): boolean {
  if (query !== '' && query.split(/[&;]/).some((pair) => isOverride(nameIn(pair)))) return true
  if (body === null) return false
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1')
  if (!HINT.test(text)) return false
  const { value, doubt } = readBody()!
  if (doubt === null && value instanceof FormData) return [...value.keys()].some(isOverride)
  if (doubt === null) return typeof value === 'object' && value !== null && Object.keys(value).some(isOverride)
  return IN_TEXT.test(text)
}

function nameIn(pair: string): string {
  const name = pair.split('=', 1)[0]!.replaceAll('+', ' ')
  return name.includes('%') ? (decodeFully(name) ?? name) : name
}

const OVERRIDE = /^_+(?:x_)?(?:http_?)?method(?:_override)?_*$|^(?:x_)?(?:http_)?method_override_*$|^x_http_method/

/** As PHP folds names: spaces, dots, brackets and what is much like them are underscores. */
const isOverride = (name: string): boolean =>
  HINT.test(name) && OVERRIDE.test(foldCase(name.split('\0', 1)[0]!).replace(/[\s.[\]-]/g, '_'))
