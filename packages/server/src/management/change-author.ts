import type { OperatorRole } from '@alter-vault/contracts'
import { type CallerKind, callerKindOf, type RowDraft, type Session } from '../audit/index.ts'
import type { Once } from '../http/once.ts'
import type { Operator } from './operator.ts'
import type { SdkCaller } from './sdk-caller.ts'

/** An app and the organization it belongs to. */
export type AppRef = { appId: string; organizationId: string }

/** Who makes a change: what the audit row and the changed object say of them, and the idempotency key that they make it under. */
export type ChangeAuthor = { once?: Once | undefined } & (
  | {
      kind: 'member'
      role: OperatorRole
      session: Session
      memberId: string
      clientIp: string
      userAgent: string | null
    }
  | {
      kind: 'key'
      callerKind: CallerKind
      keyId: string
      keyPrefix: string
      agentId: string | null
      actorId: string | null
      clientIp: string
      userAgent: string | null
      traceId: string
    }
  | { kind: 'system' }
)

/** The server itself: set-up and background work. */
export const systemAuthor: ChangeAuthor = { kind: 'system' }

export function operatorAuthor({ role, session, memberId, clientIp, userAgent }: Operator, once?: Once): ChangeAuthor {
  return { kind: 'member', role, session, memberId, clientIp, userAgent, once }
}

export function callerAuthor(caller: SdkCaller): ChangeAuthor {
  const { keyId, keyPrefix, agentId, actorId, clientIp, userAgent, traceId } = caller
  return {
    kind: 'key',
    callerKind: callerKindOf(caller),
    keyId,
    keyPrefix,
    agentId,
    actorId,
    clientIp,
    userAgent,
    traceId,
  }
}

/** What `created_by` and `updated_by` columns hold. */
export function authorColumn(author: ChangeAuthor): string {
  if (author.kind === 'member') return JSON.stringify({ kind: 'member', id: author.memberId })
  if (author.kind === 'key') return JSON.stringify({ kind: 'key', id: author.keyId })
  return JSON.stringify({ kind: 'system' })
}

/** The same on the wire: `member:<id>`, `key:<id>`, `system`; null for what this version cannot read. */
export function shownAuthor(column: unknown): string | null {
  const { kind, id } = (column ?? {}) as { kind?: unknown; id?: unknown }
  if (typeof kind !== 'string') return null
  return typeof id === 'string' ? `${kind}:${id}` : kind
}

type Change = { field: string; from: string | null; to: string | null }

type State<T> = { [member in keyof T]?: T[member] | undefined }

/** What differs between two states, for the audit row: values as JSON text, members of `secret` only as "changed". */
export function changesBetween<T extends object>(before: State<T>, after: State<T>): Change[] {
  const changes: Change[] = []
  for (const field of new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof T & string>) {
    const [from, to] = [jsonText(before[field]), jsonText(after[field])]
    if (from !== to) changes.push({ field, from, to })
  }
  return changes
}

/** What a change that names only some members makes of a state. */
export function changesTo(before: object, change: object): Change[] {
  const named = Object.keys(change).map((name) => [name, before[name as keyof typeof before]])
  return changesBetween(Object.fromEntries(named), change)
}

/** An audit change of a value that is never written down. */
export const secretChange = (field: string): Change => ({ field, from: null, to: 'changed' })

function jsonText(value: unknown): string | null {
  return value === undefined || value === null ? null : JSON.stringify(value)
}

/** The row of a change, with everything the author says of it. */
export function changeRow(
  author: ChangeAuthor,
  change: { event: RowDraft['event']; type: string; id: string; changes?: readonly Change[] } & Partial<RowDraft>,
): RowDraft {
  const { event, type, id, changes, detail, ...rest } = change
  return {
    event,
    outcome: 'changed',
    ...whoIs(author),
    ...rest,
    detail: {
      ...whereFrom(author),
      resourceType: type,
      resourceId: id,
      ...(changes === undefined || changes.length === 0 ? {} : { changes }),
      ...detail,
    },
  }
}

function whoIs(author: ChangeAuthor): Partial<RowDraft> {
  if (author.kind === 'member') return { callerKind: author.session.callerKind, memberId: author.memberId }
  if (author.kind === 'system') return { callerKind: 'system' }
  const { callerKind, keyId, agentId, actorId, traceId } = author
  return { callerKind, keyId, agentId, actorId, traceId }
}

function whereFrom(author: ChangeAuthor): RowDraft['detail'] {
  if (author.kind === 'system') return { initiator: 'system' }
  const { clientIp, userAgent } = author
  if (author.kind === 'member') return { initiator: author.session.initiator, clientIp, userAgent }
  return { initiator: 'sdk', clientIp, userAgent, keyPrefix: author.keyPrefix }
}
