import type { TimeWindows } from '@alter-vault/contracts'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileOpeningTimes, DAY_NAMES, minutesOf } from './time-window.ts'
import { createZoneClock, isTimeZoneName } from './time-zone.ts'

const at = (time: string) => Date.parse(time)
const times = (body: TimeWindows) => compileOpeningTimes(body)!

/** Says whether the instant is open by asking Intl for every part, day by day: the slow twin. */
function isOpenSlowly(body: TimeWindows, atMs: number): boolean {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat('en-GB', {
      timeZone: body.timezone,
      weekday: 'short',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
    })
      .formatToParts(atMs)
      .map(({ type, value }) => [type, value]),
  )
  const minute = Number(parts.hour) * 60 + Number(parts.minute)
  const today = `${parts.year}-${parts.month}-${parts.day}`
  const dayBefore = new Date(Date.parse(`${today}T00:00:00Z`) - 86_400_000).toISOString().slice(0, 10)
  const weekday = DAY_NAMES.indexOf(parts.weekday!.toLowerCase() as (typeof DAY_NAMES)[number])
  const starts = (window: TimeWindows['windows'][number], day: number, date: string) =>
    window.days.includes(DAY_NAMES[(day + 7) % 7]!) && !body.excluded_dates?.includes(date)
  return body.windows.some((window) => {
    const start = minutesOf(window.start)
    const end = minutesOf(window.end)
    if (start < end) return starts(window, weekday, today) && minute >= start && minute < end
    return (
      (starts(window, weekday, today) && minute >= start) || (starts(window, weekday - 1, dayBefore) && minute < end)
    )
  })
}

describe('time window', () => {
  const office: TimeWindows = {
    timezone: 'Europe/Paris',
    windows: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], start: '09:00', end: '17:00' }],
  }

  test('is open from its start to before its end', () => {
    expect(times(office).isOpen(at('2026-03-04T07:59:59Z'))).toBe(false)
    expect(times(office).isOpen(at('2026-03-04T08:00:00Z'))).toBe(true)
    expect(times(office).isOpen(at('2026-03-04T15:59:59.999Z'))).toBe(true)
    expect(times(office).isOpen(at('2026-03-04T16:00:00Z'))).toBe(false)
  })

  test('an excluded date closes the windows that start on it, also after midnight', () => {
    const night = times({
      timezone: 'UTC',
      windows: [{ days: ['fri'], start: '22:00', end: '02:00' }],
      excluded_dates: ['2026-03-06'],
    })
    expect(night.isOpen(at('2026-03-06T23:00:00Z'))).toBe(false)
    expect(night.isOpen(at('2026-03-07T01:00:00Z'))).toBe(false)
    expect(night.isOpen(at('2026-03-14T01:00:00Z'))).toBe(true)
  })

  test('24:00 ends with the day', () => {
    const evening = times({ timezone: 'UTC', windows: [{ days: ['mon'], start: '20:00', end: '24:00' }] })
    expect(evening.isOpen(at('2026-03-02T23:59:00Z'))).toBe(true)
    expect(evening.isOpen(at('2026-03-03T00:00:00Z'))).toBe(false)
  })

  test('a repeated hour is open both times', () => {
    const hour = times({ timezone: 'Europe/Paris', windows: [{ days: ['sun'], start: '02:00', end: '03:00' }] })
    expect(hour.isOpen(at('2026-10-25T00:30:00Z'))).toBe(true)
    expect(hour.isOpen(at('2026-10-25T01:30:00Z'))).toBe(true)
    expect(hour.isOpen(at('2026-10-25T02:00:00Z'))).toBe(false)
    expect(hour.nextOpening(at('2026-10-25T00:00:00Z'))).toBe(at('2026-10-25T01:00:00Z'))
  })

  test('a skipped hour never occurs, and the next opening is a week later', () => {
    const hour = times({ timezone: 'Europe/Paris', windows: [{ days: ['sun'], start: '02:00', end: '03:00' }] })
    expect(hour.isOpen(at('2026-03-29T00:59:00Z'))).toBe(false)
    expect(hour.isOpen(at('2026-03-29T01:00:00Z'))).toBe(false)
    expect(hour.nextOpening(at('2026-03-28T12:00:00Z'))).toBe(at('2026-04-05T00:00:00Z'))
  })

  test('a window that starts in a skipped hour opens when the clock has jumped', () => {
    const early = times({ timezone: 'Europe/Paris', windows: [{ days: ['sun'], start: '02:30', end: '05:00' }] })
    expect(early.nextOpening(at('2026-03-28T12:00:00Z'))).toBe(at('2026-03-29T01:00:00Z'))
  })

  test('the next opening is on a day that is not excluded', () => {
    const mondays = times({
      timezone: 'UTC',
      windows: [{ days: ['mon'], start: '09:00', end: '10:00' }],
      excluded_dates: ['2026-03-09', '2026-03-16'],
    })
    expect(mondays.nextOpening(at('2026-03-04T12:00:00Z'))).toBe(at('2026-03-23T09:00:00Z'))
  })

  test('says its windows in words', () => {
    expect(times(office).words).toBe('Mon-Fri 09:00-17:00 Europe/Paris')
    expect(times({ timezone: 'UTC', windows: [{ days: ['sat', 'mon'], start: '09:00', end: '10:00' }] }).words).toBe(
      'Mon Sat 09:00-10:00 UTC',
    )
  })

  test('agrees with Intl minute by minute, around every kind of clock change', () => {
    const time = fc
      .tuple(fc.integer({ min: 0, max: 23 }), fc.constantFrom('00', '15', '30', '59'))
      .map(([hour, minute]) => `${String(hour).padStart(2, '0')}:${minute}`)
    const window = fc
      .record({
        days: fc.subarray([...DAY_NAMES], { minLength: 1 }),
        start: time,
        end: fc.oneof(time, fc.constant('24:00')),
      })
      .filter(({ start, end }) => start !== end)
    const instant = fc
      .tuple(
        fc.constantFrom(
          at('2026-03-29T01:00:00Z'),
          at('2026-10-25T01:00:00Z'),
          at('2026-04-04T15:00:00Z'),
          at('2026-03-08T10:00:00Z'),
          at('2026-12-31T23:00:00Z'),
        ),
        fc.integer({ min: -4_000, max: 4_000 }),
      )
      .map(([base, minutes]) => base + minutes * 60_000)
    const zone = fc.constantFrom(
      'Europe/Paris',
      'America/Los_Angeles',
      'Australia/Lord_Howe',
      'Asia/Kathmandu',
      'America/St_Johns',
      'Pacific/Kiritimati',
      'UTC',
    )
    const excluded = fc.subarray(['2026-03-29', '2026-10-25', '2026-04-05'])
    fc.assert(
      fc.property(
        zone,
        fc.array(window, { minLength: 1, maxLength: 3 }),
        excluded,
        instant,
        (timezone, windows, dates, t) => {
          const body: TimeWindows = { timezone, windows, excluded_dates: dates }
          const compiled = times(body)
          expect(compiled.isOpen(t)).toBe(isOpenSlowly(body, t))
          const next = compiled.nextOpening(t)
          if (next === undefined) return
          expect(next).toBeGreaterThan(t)
          expect(isOpenSlowly(body, next)).toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })
})

describe('time zone', () => {
  test.each([
    'Europe/Paris',
    'UTC',
    'Etc/UTC',
    'Asia/Kolkata',
    'Asia/Calcutta',
    'US/Eastern',
    'America/Argentina/Buenos_Aires',
  ])('%s is a name', (name) => {
    expect(isTimeZoneName(name)).toBe(true)
    expect(createZoneClock(name)).toBeDefined()
  })
  test.each(['europe/paris', 'EUROPE/PARIS', 'asia/kolkata', '+01:00', 'Europe/Atlantis', '', 'utc'])(
    '%s is none',
    (name) => {
      expect(isTimeZoneName(name)).toBe(false)
      expect(createZoneClock(name)).toBeUndefined()
    },
  )
})
