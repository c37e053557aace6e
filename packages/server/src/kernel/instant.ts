import { invalidField } from './vault-error.ts'

const PARTS = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.\d+)?(?:Z|[+-](\d{2}):(\d{2}))$/

/** Milliseconds of an RFC 3339 instant; undefined for text that is none, for 30 February too, which `Date` would move on. */
export function parseInstant(text: string): number | undefined {
  const parts = PARTS.exec(text)
  if (parts === null) return undefined
  const [year, month, day, hour, minute, second, zoneHour = 0, zoneMinute = 0] = parts
    .slice(1)
    .map((part) => Number(part ?? 0))
  const date = new Date(Date.UTC(year!, month! - 1, day))
  const exists = date.getUTCFullYear() === year && date.getUTCMonth() === month! - 1 && date.getUTCDate() === day
  if (!exists || hour! > 23 || minute! > 59 || second! > 59 || zoneHour > 23 || zoneMinute > 59) return undefined
  return Date.parse(text)
}

/** An instant that is still to come. Refusal: `validation_failed` at `pointer`. */
export function parseFutureInstant(text: string, pointer: string, nowMs: number): Date {
  const ms = parseInstant(text)
  const field = pointer.slice(pointer.lastIndexOf('/') + 1)
  if (ms === undefined) throw invalidField(pointer, `"${field}" must be a time that exists, with a zone.`)
  if (ms <= nowMs) throw invalidField(pointer, `"${field}" must be in the future.`, 'out_of_range')
  return new Date(ms)
}

const MAX_KEPT = 1_000
const written = new Map<number, string>()

/** RFC 3339 in UTC with milliseconds. Decisions name the same few instants again and again, so they are kept. */
export function isoOf(ms: number): string {
  let text = written.get(ms)
  if (text === undefined) {
    text = new Date(ms).toISOString()
    if (written.size >= MAX_KEPT) written.clear()
    written.set(ms, text)
  }
  return text
}
