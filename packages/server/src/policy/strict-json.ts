import { findAmbiguity } from '../kernel/strict-json.ts'

/** Parses JSON that only one reading is possible of; undefined for any other text. `maxDepth` counts nested arrays and objects. */
export function parseStrictJson(text: string, maxDepth = Number.POSITIVE_INFINITY): { value: unknown } | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  return findAmbiguity(text, maxDepth) === undefined ? { value } : undefined
}
