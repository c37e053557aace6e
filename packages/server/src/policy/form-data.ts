import { isPlainName, skeletonOf, skeletonsOf } from '../kernel/names.ts'
import { type Fact, UNKNOWN } from './fact.ts'

/** More fields than PHP, qs and Django take by default: each then leaves out others. */
const MAX_FIELDS = 1_000

const UNSEEN = /[\s\p{Cc}\p{Cf}]/u

/** Decoded name → decoded values in order, of a query or a form. */
export class FormData extends Map<string, string[]> {
  /** Skeleton → the one name that may be read so; null when several may. Made when somebody asks. */
  private index: ReadonlyMap<string, string | null> | undefined

  /** The values under a name; unknown when a reader may take another name for it. */
  named(name: string): Fact<readonly string[]> {
    const found = this.names().get(skeletonOf(name))
    if (found === undefined) return null
    return found === name ? this.get(name)! : UNKNOWN
  }

  /** Whether a person would be misled by it: two names may be one to a reader, or a name holds what cannot be seen. */
  get isMisleading(): boolean {
    const names = [...this.keys()]
    const skeletons = new Set(names.map(skeletonOf))
    if (skeletons.size < names.length || names.some((name) => UNSEEN.test(name))) return true
    return names.some((name) => skeletonsOf(name).some((other) => other !== skeletonOf(name) && skeletons.has(other)))
  }

  /** Whether readers may find other names in it than these: one is spelled unusually, or two may be one. */
  get isAmbiguous(): boolean {
    if (this.size === 0) return false
    const names = [...this.keys()]
    return !names.every(isPlainName) || (names.length > 1 && [...this.names().values()].includes(null))
  }

  /** A name given once with its text, a repeated name with a list of texts. */
  toObject(): Record<string, unknown> {
    const object: Record<string, unknown> = Object.create(null)
    for (const [name, values] of this) object[name] = values.length === 1 ? values[0] : values
    return object
  }

  private names(): ReadonlyMap<string, string | null> {
    if (this.index !== undefined) return this.index
    const index = new Map<string, string | null>()
    for (const name of this.keys()) {
      for (const skeleton of new Set(skeletonsOf(name))) index.set(skeleton, index.has(skeleton) ? null : name)
    }
    this.index = index
    return index
  }
}

const NOTHING = new FormData()

/**
 * Reads `application/x-www-form-urlencoded` text (WHATWG URL, 5.1). Strict: undefined where two readers may understand two things, which is
 * when an escape or its UTF-8 is broken, at a `;`, where Rack 2 and older Pythons part pairs, and with more fields than most read.
 */
export function parseForm(text: string): FormData | undefined {
  if (text === '') return NOTHING
  if (text.includes(';')) return undefined
  const pairs = text.split('&', MAX_FIELDS + 1)
  if (pairs.length > MAX_FIELDS) return undefined
  const values = new FormData()
  for (const pair of pairs) {
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
