import { type Logger, pino } from 'pino'

/** Structured log, one JSON object a line. A `Secret` prints as `[secret]`; nothing else secret may be handed to it. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'fatal'>

export type LogOptions = { level: 'silent' | 'debug' | 'info' | 'warn' | 'error'; development?: boolean }

export function createLog({ level, development = false }: LogOptions): Log {
  return pino({ level, base: development ? { mode: 'development' } : {} })
}
