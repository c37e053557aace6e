import { type Fact, UNKNOWN } from './fact.ts'
import { FormData } from './form-data.ts'
import { memberNamed } from './json-members.ts'

/** The tokens of an RFC 6901 pointer; undefined when it is none. `*` stays and means any array element. */
export function parsePointer(pointer: string): readonly string[] | undefined {
  if (pointer === '') return []
  if (!pointer.startsWith('/') || /~(?![01])/.test(pointer)) return undefined
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** An RFC 6901 pointer of reference tokens. */
export function pointerOf(...tokens: readonly (string | number)[]): string {
  return tokens.map((token) => `/${String(token).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

/**
 * The values that a pointer reaches in a document, an array at its end counting as its elements. Absent when a member is missing.
 * Unknown when the document has another shape than the pointer expects (a member of an array or of a scalar, `*` on an object):
 * a batch of ten must not pass a rule that was written for one. Unknown too when a reader may take another member for the one meant.
 */
export function valuesAt(document: unknown, tokens: readonly string[]): Fact<readonly unknown[]> {
  if (document instanceof FormData) return valuesOfForm(document, tokens)
  let reached: unknown[] = [document]
  for (const token of tokens) {
    const next: unknown[] = []
    for (const value of reached) {
      if (value === null) continue
      if (typeof value !== 'object') return UNKNOWN
      if (Array.isArray(value)) {
        if (token === '*') for (const element of value) next.push(element)
        else if (!/^(0|[1-9]\d*)$/.test(token)) return UNKNOWN
        else if (Number(token) < value.length) next.push(value[Number(token)])
        continue
      }
      const member = token === '*' ? UNKNOWN : memberNamed(value, token)
      if (member === UNKNOWN) return UNKNOWN
      if (member !== undefined) next.push(member.value)
    }
    if (next.length === 0) return null
    reached = next
  }
  return reached.flat()
}

/** A field counts as its values. What is below a field is a matter between the form's writer and its reader. */
function valuesOfForm(form: FormData, [name, ...below]: readonly string[]): Fact<readonly unknown[]> {
  if (name === undefined || name === '*') return UNKNOWN
  const values = form.named(name)
  return values !== UNKNOWN && values !== null && below.length > 0 ? UNKNOWN : values
}
