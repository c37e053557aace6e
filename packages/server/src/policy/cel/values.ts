import type { IpRange } from '../../kernel/ip-range.ts'
import { UNKNOWN } from '../fact.ts'
import { FormData } from '../form-data.ts'
import { memberNamed } from '../json-members.ts'
import { type Frame, fail, spend, spendOnText, UnknownRead } from './evaluation.ts'

/*
 * Values at run time: string, boolean, null, bigint (int), number (double; every number of a JSON body), array (list), Map or
 * object without symbols (map), Date (timestamp), and the two below.
 */
export function boolOf(value: unknown): boolean {
  return typeof value === 'boolean' ? value : fail()
}

export type CelMap = ReadonlyMap<unknown, unknown> | Readonly<Record<string, unknown>>
export type Duration = { readonly [DURATION_MS]: number }
export type CidrValue = { readonly [CONTAINS]: IpRange['contains'] }
export const DURATION_MS = Symbol('duration')
export const CONTAINS = Symbol('cidr')

export function isDuration(value: unknown): value is Duration {
  return typeof value === 'object' && value !== null && DURATION_MS in value
}

export function isMap(value: unknown): value is CelMap {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return !(value instanceof Date) && !isDuration(value) && !(CONTAINS in value)
}

/** A member is there in another spelling, which its reader may take for this one. */
const otherSpelling = new UnknownRead(Object.freeze({ cause: 'attribute_unknown', attribute: 'request' }))

export function hasKey(map: CelMap, key: unknown): boolean {
  if (map instanceof Map && !(map instanceof FormData)) return map.has(key)
  if (typeof key !== 'string') return false
  const found = map instanceof FormData ? map.named(key) : memberNamed(map, key)
  if (found === UNKNOWN) throw otherSpelling
  return found !== undefined && found !== null
}

export function memberValue(map: CelMap, key: unknown): unknown {
  return map instanceof Map ? map.get(key) : (map as Record<string, unknown>)[key as string]
}

export function keysOf(map: CelMap): readonly unknown[] {
  return map instanceof Map ? [...map.keys()] : Object.keys(map)
}

export function memberOf(object: unknown, member: string): unknown {
  return isMap(object) && hasKey(object, member) ? memberValue(object, member) : fail()
}

export function elementOf(object: unknown, key: unknown): unknown {
  if (Array.isArray(object)) {
    const index = typeof key === 'bigint' ? Number(key) : key
    return typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < object.length
      ? object[index]
      : fail()
  }
  return isMap(object) && hasKey(object, key) ? memberValue(object, key) : fail()
}

export function isNumeric(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint'
}

export function areEqual(left: unknown, right: unknown, frame: Frame): boolean {
  spend(frame, 1)
  // Numbers of different types are equal by value (CEL, Equality), which is what loose equality of two numbers is.
  // biome-ignore lint/suspicious/noDoubleEquals: see above
  if (isNumeric(left) && isNumeric(right)) return left == right
  if (typeof left === 'string' && typeof right === 'string') {
    spendOnText(frame, left)
    return left === right
  }
  if (left instanceof Date && right instanceof Date) return left.getTime() === right.getTime()
  if (isDuration(left) && isDuration(right)) return left[DURATION_MS] === right[DURATION_MS]
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((element, i) => areEqual(element, right[i], frame))
  }
  if (isMap(left) && isMap(right)) {
    const keys = keysOf(left)
    return (
      keys.length === keysOf(right).length &&
      keys.every((key) => hasKey(right, key) && areEqual(memberValue(left, key), memberValue(right, key), frame))
    )
  }
  return left === right
}

export function isIn(needle: unknown, haystack: unknown, frame: Frame): boolean {
  if (Array.isArray(haystack)) return haystack.some((element) => areEqual(needle, element, frame))
  return isMap(haystack) ? hasKey(haystack, needle) : fail()
}

const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n
export function int64(value: bigint): bigint {
  return value >= INT64_MIN && value <= INT64_MAX ? value : fail()
}

const TIMESTAMP_MIN_MS = Date.parse('0001-01-01T00:00:00Z')
const TIMESTAMP_MAX_MS = Date.parse('9999-12-31T23:59:59.999Z')
export function timestampOf(ms: number): Date {
  return ms >= TIMESTAMP_MIN_MS && ms <= TIMESTAMP_MAX_MS ? new Date(ms) : fail()
}

export function durationOf(ms: number): Duration {
  return Number.isFinite(ms) ? { [DURATION_MS]: ms } : fail()
}
