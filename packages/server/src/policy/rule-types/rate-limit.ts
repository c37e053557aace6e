import type { RateLimitBody } from '@alter-vault/contracts'
import { compileWhen } from '../condition.ts'
import { type Fact, UNKNOWN } from '../fact.ts'
import { type BudgetUse, deny, type EvaluateRule, undecidedOn } from '../firing.ts'
import type { Moment } from '../moment.ts'
import { createZoneClock, weekdayOf, type ZoneClock } from '../time-zone.ts'

/** Longer windows have a fixed start. */
const SLIDING_MAX_SECONDS = 3_600
const EXACT_MAX_PER_SECOND = 10
const DEFAULT_WINDOW_SECONDS = 60
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

/** The window lengths that have a calendar, in seconds: minute, hour, day, week from Monday, month. */
export const CALENDAR_WINDOWS = [60, 3_600, 86_400, 604_800, 2_678_400] as const

type Window = { numberAt(atMs: number): number | null; retryAtMs(atMs: number): number }

/** Charges a budget for each use. Whether it is spent is known when the charge is stored. */
export function compileRateLimit(body: RateLimitBody, ruleId: string): EvaluateRule {
  const windowSeconds = body.window_seconds ?? DEFAULT_WINDOW_SECONDS
  const per = body.per ?? 'grant'
  const when = compileWhen(body.when ?? {})
  const timezone = body.timezone ?? 'UTC'
  const zone = createZoneClock(timezone)
  if (zone === undefined) {
    const unknownZone = deny('timezone_unknown', `The time zone ${timezone} is not known on this server.`)
    return () => unknownZone
  }
  const window = compileWindow(windowSeconds, body.alignment === 'calendar' ? zone : undefined)
  const shape = `${windowSeconds}${body.alignment === 'calendar' ? `@${timezone}` : ''}`

  return (moment) => {
    if (when(moment) === false) return null
    const counted = countedValue(moment, per)
    if (counted === null) return null
    if (counted === UNKNOWN) {
      return deny('quota_exceeded', 'Whom the budget is counted for is not known.', undecidedOn(per))
    }
    const { atMs } = moment
    const fixedWindow = window.numberAt(atMs)
    const use: BudgetUse = {
      counterId: `${ruleId}:${shape}:${per}:${counted}`,
      limit: body.limit,
      windowMs: windowSeconds * 1000,
      fixedWindow,
      exact: fixedWindow !== null || body.limit / windowSeconds <= EXACT_MAX_PER_SECOND,
      retryAtMs: () => window.retryAtMs(atMs),
    }
    return { kind: 'charge', use }
  }
}

/** Whom a use counts for; absent when the call has no such party, and then the budget does not concern it. */
function countedValue({ context }: Moment, per: NonNullable<RateLimitBody['per']>): Fact<string> {
  switch (per) {
    case 'grant':
      return context.grant.id
    case 'agent':
      return context.agent?.id ?? null
    case 'key':
      return context.key.id
    case 'app_user':
      return context.user?.id ?? null
    case 'provider':
      return context.provider.id
    case 'app':
      return context.app.id
    case 'client_ip':
      return context.clientIp ?? UNKNOWN
  }
}

function compileWindow(windowSeconds: number, calendar: ZoneClock | undefined): Window {
  if (calendar !== undefined) return compileCalendar(windowSeconds, calendar)
  const windowMs = windowSeconds * 1000
  if (windowSeconds <= SLIDING_MAX_SECONDS) return { numberAt: () => null, retryAtMs: (atMs) => atMs + windowMs }
  const numberAt = (atMs: number) => Math.floor(atMs / windowMs)
  return { numberAt, retryAtMs: (atMs) => (numberAt(atMs) + 1) * windowMs }
}

function compileCalendar(windowSeconds: number, zone: ZoneClock): Window {
  const midnight = (dateNumber: number) => zone.instantsOf(dateNumber, 0)[0]!
  const monthOf = (atMs: number) => {
    const local = new Date(atMs + zone.at(atMs).offsetMs)
    return local.getUTCFullYear() * 12 + local.getUTCMonth()
  }
  switch (windowSeconds) {
    case 60: {
      const numberAt = (atMs: number) => Math.floor(atMs / MINUTE_MS)
      return { numberAt, retryAtMs: (atMs) => (numberAt(atMs) + 1) * MINUTE_MS }
    }
    case 3_600: {
      const numberAt = (atMs: number) => Math.floor((atMs + zone.at(atMs).offsetMs) / HOUR_MS)
      return { numberAt, retryAtMs: (atMs) => (numberAt(atMs) + 1) * HOUR_MS - zone.at(atMs).offsetMs }
    }
    case 86_400:
      return {
        numberAt: (atMs) => zone.at(atMs).dateNumber,
        retryAtMs: (atMs) => midnight(zone.at(atMs).dateNumber + 1),
      }
    case 604_800: {
      const mondayOf = (dateNumber: number) => dateNumber - weekdayOf(dateNumber)
      return {
        numberAt: (atMs) => Math.floor((zone.at(atMs).dateNumber + 3) / 7),
        retryAtMs: (atMs) => midnight(mondayOf(zone.at(atMs).dateNumber) + 7),
      }
    }
    default:
      return {
        numberAt: monthOf,
        retryAtMs: (atMs) => {
          const month = monthOf(atMs) + 1
          return midnight(Date.UTC(Math.floor(month / 12), month % 12, 1) / 86_400_000)
        },
      }
  }
}
