import { RE2JS } from 're2js'
import { parseAddress, parseCidr } from '../../kernel/ip-range.ts'
import { compileGlob, type Matcher } from '../glob.ts'
import { createZoneClock } from '../time-zone.ts'
import { type Frame, fail, spend, spendOnText } from './evaluation.ts'
import {
  boolOf,
  type CidrValue,
  CONTAINS,
  DURATION_MS,
  type Duration,
  durationOf,
  int64,
  isDuration,
  isMap,
  isNumeric,
  keysOf,
  timestampOf,
} from './values.ts'

/** A function of a rule, applied to evaluated arguments (the receiver first). */
export type Call = (args: readonly unknown[], frame: Frame) => unknown

function text(value: unknown): string {
  return typeof value === 'string' ? value : fail()
}

function textCall(answer: (subject: string, argument: string) => unknown): () => Call {
  return () => (args, frame) => {
    const subject = text(args[0])
    const argument = text(args[1] ?? '')
    spendOnText(frame, subject, argument)
    return answer(subject, argument)
  }
}

/** Compiles each distinct pattern once, up to a bound: patterns are literals, or members of a literal list. */
function remembering<T>(make: (pattern: string) => T): (pattern: string, frame: Frame) => T {
  const known = new Map<string, T>()
  return (pattern, frame) => {
    const found = known.get(pattern)
    if (found !== undefined) return found
    spend(frame, pattern.length)
    const made = make(pattern)
    if (known.size < 200) known.set(pattern, made)
    return made
  }
}

function sizeOf(value: unknown): bigint {
  if (typeof value === 'string') return BigInt(Array.from(value).length)
  if (Array.isArray(value)) return BigInt(value.length)
  return isMap(value) ? BigInt(keysOf(value).length) : fail()
}

const RFC_3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/
const DURATION_PART = /(\d+(?:\.\d+)?|\.\d+)(h|ms|m|s|us|µs|ns)/y
const UNIT_MS: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
  us: 1e-3,
  µs: 1e-3,
  ns: 1e-6,
}

function parseDuration(source: string): Duration {
  const negative = source.startsWith('-')
  const body = negative || source.startsWith('+') ? source.slice(1) : source
  let ms = 0
  let from = 0
  while (from < body.length || from === 0) {
    DURATION_PART.lastIndex = from
    const part = DURATION_PART.exec(body)
    if (part === null) return fail()
    ms += Number(part[1]) * UNIT_MS[part[2]!]!
    from = DURATION_PART.lastIndex
  }
  return durationOf(negative ? -ms : ms)
}

function toInt(value: unknown): bigint {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number') return Number.isFinite(value) ? int64(BigInt(Math.trunc(value))) : fail()
  if (value instanceof Date) return BigInt(Math.floor(value.getTime() / 1000))
  return typeof value === 'string' && /^[+-]?\d{1,19}$/.test(value) ? int64(BigInt(value.replace(/^\+/, ''))) : fail()
}

function toDouble(value: unknown): number {
  if (isNumeric(value)) return Number(value)
  return typeof value === 'string' && /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value) ? Number(value) : fail()
}

function toText(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean' || isNumeric(value)) return String(value)
  return value instanceof Date ? value.toISOString().replace('.000Z', 'Z') : fail()
}

function toTimestamp(value: unknown): Date {
  if (value instanceof Date) return value
  if (typeof value === 'bigint') return timestampOf(Number(value) * 1000)
  return typeof value === 'string' && RFC_3339.test(value) ? timestampOf(Date.parse(value)) : fail()
}

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

/** A member of a date, read from a timestamp shifted to the asked time zone and taken as UTC. */
function dateCall(read: (local: Date) => number): () => Call {
  return () => {
    const zones = remembering((name) => createZoneClock(name) ?? null)
    return (args, frame) => {
      const value = args[0]
      if (!(value instanceof Date)) return fail()
      if (args.length === 1) return BigInt(read(value))
      const zone = zones(text(args[1]), frame)
      return zone === null ? fail() : BigInt(read(new Date(value.getTime() + zone.at(value.getTime()).offsetMs)))
    }
  }
}

/** A member of a date, or the whole of a duration in that unit. */
function dateOrDurationCall(read: (local: Date) => number, unitMs: number): () => Call {
  const dates = dateCall(read)
  return () => {
    const ofDate = dates()
    return (args, frame) => {
      const value = args[0]
      return isDuration(value) && args.length === 1
        ? BigInt(Math.trunc(value[DURATION_MS] / unitMs))
        : ofDate(args, frame)
    }
  }
}

function dayOfYear(local: Date): number {
  return Math.floor((local.getTime() - Date.UTC(local.getUTCFullYear(), 0, 1)) / DAY_MS)
}

function matchesCall(): Call {
  const compiled = remembering((pattern) => {
    if (pattern.length > 512) return fail()
    try {
      return RE2JS.compile(pattern)
    } catch {
      return fail()
    }
  })
  return (args, frame) => {
    const subject = text(args[0])
    const pattern = text(args[1])
    spend(frame, Math.ceil((subject.length * Math.max(1, pattern.length / 10)) / 10))
    return compiled(pattern, frame).matcher(subject).find()
  }
}

/** Globs with a `/` are about paths, others about any text. */
function globCall(): Call {
  const compiled = remembering<Matcher>((pattern) =>
    pattern.length > 512 ? fail() : compileGlob(pattern, pattern.includes('/') ? 'path' : 'text'),
  )
  return (args, frame) => {
    const pattern = text(args[0])
    const subject = text(args[1])
    spendOnText(frame, subject)
    return compiled(pattern, frame)(subject)
  }
}

function cidrCall(): Call {
  const compiled = remembering<CidrValue>((cidr) => {
    const range = parseCidr(cidr)
    return typeof range === 'string' ? fail() : { [CONTAINS]: range.contains }
  })
  return (args, frame) => compiled(text(args[0]), frame)
}

function containsCall(): Call {
  return (args, frame) => {
    const subject = args[0]
    const argument = text(args[1])
    if (typeof subject === 'object' && subject !== null && CONTAINS in subject) {
      const address = parseAddress(argument)
      return address === undefined ? fail() : (subject as CidrValue)[CONTAINS](address)
    }
    const container = text(subject)
    spend(frame, Math.ceil(container.length / 10) + Math.ceil(argument.length / 10))
    return container.includes(argument)
  }
}

const size: () => Call = () => (args, frame) => {
  if (typeof args[0] === 'string') spendOnText(frame, args[0])
  return sizeOf(args[0])
}

const fullYear = dateCall((local) => local.getUTCFullYear())
const month = dateCall((local) => local.getUTCMonth())
const date = dateCall((local) => local.getUTCDate())
const dayOfMonth = dateCall((local) => local.getUTCDate() - 1)
const dayOfWeek = dateCall((local) => local.getUTCDay())
const ofYear = dateCall(dayOfYear)
const hours = dateOrDurationCall((local) => local.getUTCHours(), HOUR_MS)
const minutes = dateOrDurationCall((local) => local.getUTCMinutes(), 60_000)
const seconds = dateOrDurationCall((local) => local.getUTCSeconds(), 1_000)
const milliseconds = dateOrDurationCall((local) => local.getUTCMilliseconds(), 1)

/** Every function a rule may use: `name/arguments`, methods as `_.name/arguments`. Each use gets a call of its own. */
export const functions: Readonly<Record<string, () => Call>> = {
  'size/1': size,
  '_.size/0': size,
  'dyn/1': () => (args) => args[0],
  'bool/1': () => (args) => (args[0] === 'true' ? true : args[0] === 'false' ? false : boolOf(args[0])),
  'int/1': () => (args) => toInt(args[0]),
  'double/1': () => (args) => toDouble(args[0]),
  'string/1': () => (args) => toText(args[0]),
  'timestamp/1': () => (args) => toTimestamp(args[0]),
  'duration/1': () => (args) => (isDuration(args[0]) ? args[0] : parseDuration(text(args[0]))),
  'glob/2': globCall,
  'cidr/1': cidrCall,
  '_.contains/1': containsCall,
  '_.matches/1': matchesCall,
  '_.startsWith/1': textCall((subject, argument) => subject.startsWith(argument)),
  '_.endsWith/1': textCall((subject, argument) => subject.endsWith(argument)),
  '_.lowerAscii/0': textCall((subject) => subject.replace(/[A-Z]+/g, (run) => run.toLowerCase())),
  '_.upperAscii/0': textCall((subject) => subject.replace(/[a-z]+/g, (run) => run.toUpperCase())),
  '_.getFullYear/0': fullYear,
  '_.getFullYear/1': fullYear,
  '_.getMonth/0': month,
  '_.getMonth/1': month,
  '_.getDate/0': date,
  '_.getDate/1': date,
  '_.getDayOfMonth/0': dayOfMonth,
  '_.getDayOfMonth/1': dayOfMonth,
  '_.getDayOfWeek/0': dayOfWeek,
  '_.getDayOfWeek/1': dayOfWeek,
  '_.getDayOfYear/0': ofYear,
  '_.getDayOfYear/1': ofYear,
  '_.getHours/0': hours,
  '_.getHours/1': hours,
  '_.getMinutes/0': minutes,
  '_.getMinutes/1': minutes,
  '_.getSeconds/0': seconds,
  '_.getSeconds/1': seconds,
  '_.getMilliseconds/0': milliseconds,
  '_.getMilliseconds/1': milliseconds,
}
