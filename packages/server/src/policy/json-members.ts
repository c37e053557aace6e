import { skeletonOf } from '../kernel/names.ts'
import { UNKNOWN } from './fact.ts'

/** Skeleton → the one name that has it; null when several do. */
type Index = ReadonlyMap<string, string | null> | typeof UNKNOWN

const indexes = new WeakMap<object, Index>()

/** More members than an object in earnest has: comparing their names would hold up everybody else. */
const MAX_MEMBERS = 10_000

/**
 * The member of a JSON object under a name: undefined when there is none, unknown when a reader may take another member for it, or when
 * there are too many to tell.
 */
export function memberNamed(object: object, name: string): { value: unknown } | typeof UNKNOWN | undefined {
  const index = indexOf(object)
  if (index === UNKNOWN) return UNKNOWN
  const found = index.get(skeletonOf(name))
  if (found === undefined) return undefined
  return found === name ? { value: (object as Record<string, unknown>)[name] } : UNKNOWN
}

/** Made once for each object: several rules ask, and an object may have many members. */
function indexOf(object: object): Index {
  const known = indexes.get(object)
  if (known !== undefined) return known
  const names = Object.keys(object)
  const index = names.length > MAX_MEMBERS ? UNKNOWN : indexOfNames(names)
  indexes.set(object, index)
  return index
}

function indexOfNames(names: readonly string[]): Index {
  const made = new Map<string, string | null>()
  for (const name of names) {
    const skeleton = skeletonOf(name)
    made.set(skeleton, made.has(skeleton) ? null : name)
  }
  return made
}
