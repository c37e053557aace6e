/**
 * Labels that travel with a call into the audit log: those of the call itself over those of the enclosing
 * `Agent.trace()`. Signed, but written by the caller: evidence of what it said, not of who it is.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { AlterValueError } from './generated/errors.ts'
import { asciiJson } from './json-text.ts'

export type AuditContext = Readonly<Record<string, string>>

const MAX_KEYS = 20
const MAX_KEY_LENGTH = 64
const MAX_VALUE_LENGTH = 512
const MAX_HEADER_LENGTH = 4_096

/** Labels that `trace()` and tool helpers set themselves. */
const RESERVED = ['agent', 'parent_agent', 'run_id', 'thread_id', 'tool', 'tool_call_id', 'framework']

const ambient = new AsyncLocalStorage<AuditContext>()

/** Labels of the enclosing traces. */
export function ambientContext(): AuditContext {
  return ambient.getStore() ?? {}
}

/**
 * Runs a function in which every call of any client carries labels, over those of the enclosing traces, which `label`
 * is given to look at.
 */
export function runWithContext<T>(label: (outer: AuditContext) => AuditContext, run: () => T): T {
  const outer = ambientContext()
  const merged = { ...outer, ...label(outer) }
  assertContext(merged)
  return ambient.run(merged, run)
}

/**
 * What a call is labeled with, `undefined` when with nothing.
 * @throws {AlterValueError} past 20 keys, 64 characters a key, 512 a value, 4,096 in all
 */
export function callContext(own: AuditContext | undefined): AuditContext | undefined {
  const merged = { ...ambientContext(), ...own }
  assertContext(merged)
  return Object.keys(merged).length === 0 ? undefined : merged
}

/** The value of `X-Alter-Context`. */
export function contextHeader(context: AuditContext): string {
  return asciiJson(JSON.stringify(context))
}

/** Refuses metadata keys that belong to `trace()`. */
export function assertNotReserved(metadata: AuditContext): void {
  const taken = Object.keys(metadata).find((key) => RESERVED.includes(key))
  if (taken !== undefined) throw new AlterValueError(`"${taken}" is set by the SDK and cannot be metadata of a trace`)
}

function assertContext(context: AuditContext): void {
  const entries = Object.entries(context)
  if (entries.length > MAX_KEYS) throw new AlterValueError(`A context holds at most ${MAX_KEYS} keys`)
  for (const [key, value] of entries) {
    if (key === '' || key.length > MAX_KEY_LENGTH) {
      throw new AlterValueError(`A context key has 1 to ${MAX_KEY_LENGTH} characters`)
    }
    if (typeof value !== 'string' || value.length > MAX_VALUE_LENGTH) {
      throw new AlterValueError(`"${key}" of a context must be a string of at most ${MAX_VALUE_LENGTH} characters`)
    }
  }
  if (contextHeader(context).length > MAX_HEADER_LENGTH) {
    throw new AlterValueError(`A context has at most ${MAX_HEADER_LENGTH} characters as ASCII JSON`)
  }
}
