import { type DestinationStream, pino } from 'pino'

/** The levels of the log; `debug` shows refusals too, which callers see anyway. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

type Write = (fields: Record<string, unknown>, message: string) => void

/** Writes one JSON line per event. `fields` are snake case; what they hold is redacted, but a secret does not belong in them. */
export type Log = {
  debug: Write
  info: Write
  warn: Write
  error: Write
  /** A log whose lines all carry `fields`. */
  child(fields: Record<string, unknown>): Log
}

/** Members that are never printed, at the top and one level below. */
const NEVER_PRINTED = [
  'authorization',
  'cookie',
  'password',
  'secret',
  'token',
  'api_key',
  'apiKey',
  '["x-api-key"]',
  '["set-cookie"]',
  '["proxy-authorization"]',
  '["x-alter-signature"]',
  '["x-alter-link-token"]',
]

/**
 * The second net under every line: keys and tokens of ours (packages/contracts/src/key-format.ts), bearer tokens, link tokens and
 * passwords inside URLs, wherever they stand.
 */
const SECRET_FORMS: readonly (readonly [RegExp, string])[] = [
  [/alter_(rk|ak|dk|pk|pat)_[a-z2-7]{22}_[a-z2-7]{6}/g, 'alter_$1_[secret]'],
  [/alter_key_[A-Za-z0-9_-]{40}/g, 'alter_key_[secret]'],
  [/\bBearer [A-Za-z0-9._~+/=-]{8,}/gi, 'Bearer [secret]'],
  [/#t=[A-Za-z0-9._~-]+/g, '#t=[secret]'],
  [/(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@"]*):[^\s/@"]+@/gi, '$1:[secret]@'],
]

/** `text` without anything that looks like a secret of ours. */
export function withoutSecrets(text: string): string {
  let clean = text
  for (const [form, replacement] of SECRET_FORMS) clean = clean.replace(form, replacement)
  return clean
}

/** The process's log. In development every line says so. */
export function createLog(options: {
  level: LogLevel
  mode: 'dev' | 'serve'
  version: string
  destination: DestinationStream
}): Log {
  return pino(
    {
      level: options.level,
      base: { ...(options.mode === 'dev' ? { mode: 'development' } : {}), version: options.version },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: NEVER_PRINTED.flatMap((name) => [name, name.startsWith('[') ? `*${name}` : `*.${name}`]),
        censor: '[secret]',
      },
      hooks: { streamWrite: withoutSecrets },
    },
    options.destination,
  )
}

/** A log that keeps nothing. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
}
