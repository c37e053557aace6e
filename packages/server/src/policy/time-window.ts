import type { TimeWindows } from '@alter-vault/contracts'
import { createZoneClock, weekdayOf, type ZoneClock } from './time-zone.ts'

/** Weekly opening times on a local wall clock. */
export type OpeningTimes = {
  /** True when the instant lies in a window: `start ≤ t < end` to the minute; a repeated hour counts both times. */
  isOpen(atMs: number): boolean
  /** The next start of a window after `atMs`, in milliseconds; undefined when there is none within two years. */
  nextOpening(atMs: number): number | undefined
  /** The windows in words, for a person: `Mon-Fri 09:00-17:00 Europe/Paris`. */
  readonly words: string
}

type Window = { days: readonly boolean[]; start: number; end: number }

export const DAY_NAMES = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
const SEARCH_DAYS = 731
const DAY_MS = 86_400_000

/** Minutes since midnight of `HH:MM`; `24:00` is 1440. */
export function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5))
}

/** Days since 1970-01-01 of `YYYY-MM-DD`; undefined for a date that no calendar has. */
export function dateNumberOf(date: string): number | undefined {
  const ms = Date.parse(`${date}T00:00:00Z`)
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== date) return undefined
  return ms / DAY_MS
}

/** Compiles windows; undefined when the time zone is not known here. */
export function compileOpeningTimes(body: TimeWindows): OpeningTimes | undefined {
  const zone = createZoneClock(body.timezone)
  if (zone === undefined) return undefined
  const windows = body.windows.map(({ days, start, end }): Window => {
    const named = new Set<string>(days)
    return { days: DAY_NAMES.map((day) => named.has(day)), start: minutesOf(start), end: minutesOf(end) }
  })
  const excluded = new Set((body.excluded_dates ?? []).map(dateNumberOf))

  /** Whether a window that starts on this local day exists at all. */
  const startsOn = (window: Window, dateNumber: number) =>
    window.days[weekdayOf(dateNumber)] === true && !excluded.has(dateNumber)

  const isOpen = (atMs: number): boolean => {
    const { dateNumber, minuteOfDay } = zone.at(atMs)
    for (const window of windows) {
      if (window.start < window.end) {
        if (minuteOfDay >= window.start && minuteOfDay < window.end && startsOn(window, dateNumber)) return true
      } else {
        if (minuteOfDay >= window.start && startsOn(window, dateNumber)) return true
        if (minuteOfDay < window.end && startsOn(window, dateNumber - 1)) return true
      }
    }
    return false
  }

  return Object.freeze({
    isOpen,
    nextOpening: (atMs: number) => findNextOpening(atMs, zone, windows, startsOn, isOpen),
    words: wordsOf(body),
  })
}

function findNextOpening(
  atMs: number,
  zone: ZoneClock,
  windows: readonly Window[],
  startsOn: (window: Window, dateNumber: number) => boolean,
  isOpen: (atMs: number) => boolean,
): number | undefined {
  const today = zone.at(atMs).dateNumber
  for (let dateNumber = today - 1; dateNumber <= today + SEARCH_DAYS; dateNumber++) {
    let earliest: number | undefined
    for (const window of windows) {
      if (!startsOn(window, dateNumber)) continue
      for (const instant of zone.instantsOf(dateNumber, window.start)) {
        if (instant > atMs && (earliest === undefined || instant < earliest) && isOpen(instant)) earliest = instant
      }
    }
    if (earliest !== undefined) return earliest
  }
  return undefined
}

function wordsOf(body: TimeWindows): string {
  const windows = body.windows.map(({ days, start, end }) => `${dayWords(days)} ${start}-${end}`)
  return `${windows.join(', ')} ${body.timezone}`
}

function dayWords(days: TimeWindows['windows'][number]['days']): string {
  const indexes = DAY_NAMES.flatMap((day, i) => (days.includes(day) ? [i] : []))
  const title = (i: number) => `${DAY_NAMES[i]!.charAt(0).toUpperCase()}${DAY_NAMES[i]!.slice(1)}`
  const first = indexes[0]!
  const last = indexes.at(-1)!
  if (indexes.length > 2 && last - first === indexes.length - 1) return `${title(first)}-${title(last)}`
  return indexes.map(title).join(' ')
}
