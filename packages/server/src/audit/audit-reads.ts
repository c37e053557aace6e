import type { AuditBody, AuditEvent, AuditExplanation, AuditFilter, AuditTraceRow } from '@alter-vault/contracts'
import type { AuditSigningKeys } from '../crypto/audit-signing-key.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { decodeCursor, encodeCursor, parsePage, toPage } from '../kernel/page.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { createApplyAuditRetention } from './apply-retention.ts'
import { toAuditEvent } from './audit-event.ts'
import type { AuditLog } from './audit-log.ts'
import { appScope } from './audit-row.ts'
import { bodiesPlace, decodeBodies } from './body-frames.ts'
import { createCheckIntegrity } from './check-integrity.ts'
import { type Checkpoint, parseCheckpointMessage } from './checkpoint.ts'
import { readCheckpointsBefore, readPublicKeys } from './checkpoint-store.ts'
import { createExports } from './create-exports.ts'
import { parseEventFilter } from './event-filter.ts'
import { type EventFilter, findBodies, findEvent, listEvents, listTraces, readTrace } from './event-store.ts'
import { explainTrace } from './explain-trace.ts'
import { readAuditBody } from './read-audit-body.ts'
import { type Reader, readerRow } from './reader.ts'
import { type CaughtUp, createSequencer } from './sequence-batches.ts'
import { createSignCheckpoint } from './sign-checkpoint.ts'
import { createSweepOutcomes } from './sweep-outcomes.ts'
import { traceTree } from './trace-tree.ts'
import type { Verification } from './verify-log.ts'

export type AuditReadsDeps = {
  db: Database
  audit: Pick<AuditLog, 'change' | 'recent'>
  keyring: Pick<Keyring, 'openFor'>
  signingKeys: Pick<AuditSigningKeys, 'keyId' | 'sign' | 'publicJwks'>
  clock: Clock
  log: Log
  /** How long a query waits for the projection, milliseconds. */
  catchUpMs?: number
}

export type AuditReads = ReturnType<typeof createAuditReads>

type PageQuery = { limit?: number | undefined; cursor?: string | undefined }
type Listed<T> = { items: T[]; has_more: boolean; next_cursor: string | null } & CaughtUp
type CheckpointItem = { checkpoint_no: number; checkpoint: Checkpoint; message_hash: string; signature: string }

const DEFAULT_LIMIT = 100
const DEFAULT_CHECKPOINTS = 100
const TRACE_MAX_ROWS = 1_000

/**
 * The read side of the audit log: queries, proof, exports, and the work that keeps them going. A query first waits until what was
 * durable when it came is searchable, for two seconds at most, and says so when that was not enough.
 */
export function createAuditReads(deps: AuditReadsDeps) {
  const { db, audit, keyring, signingKeys, clock, log, catchUpMs = 2_000 } = deps
  const checkpoints = createSignCheckpoint({ db, signingKeys, clock })
  const sequencer = createSequencer({ db, audit, checkpoints, clock, log, catchUpMs })
  const integrity = createCheckIntegrity({ db, audit, sequencer })
  const { sweepOutcomes } = createSweepOutcomes({ db, audit, sequencer, log })
  const exports = createExports({ db, audit, clock, sequencer })

  async function search(appId: string, filter: EventFilter, query: PageQuery): Promise<Listed<AuditEvent>> {
    const after = query.cursor === undefined ? undefined : decodeCursor(query.cursor)
    const reached = await sequencer.catchUp(appId)
    const limit = query.limit ?? DEFAULT_LIMIT
    const { rows, next } = await db.forApp(appId, (tx) => listEvents(tx, appId, filter, { after, limit }))
    return {
      items: rows.map(toAuditEvent),
      has_more: next !== undefined,
      next_cursor: next === undefined ? null : encodeCursor(next),
      ...reached,
    }
  }

  async function getEvent(appId: string, eventId: string) {
    const find = () => db.forApp(appId, (tx) => findEvent(tx, appId, eventId))
    const found = (await find()) ?? (await sequencer.catchUp(appId).then(find))
    if (found === undefined) throw new VaultError('not_found', { message: 'There is no audit event with this id.' })
    return found
  }

  async function traceOf(appId: string, traceId: string): Promise<{ events: AuditEvent[]; reached: CaughtUp }> {
    const reached = await sequencer.catchUp(appId)
    const found = await db.forApp(appId, (tx) => readTrace(tx, appId, traceId, TRACE_MAX_ROWS + 1))
    if (found.length === 0) throw new VaultError('not_found', { message: 'There is no trace with this id.' })
    return { events: found.map(toAuditEvent), reached }
  }

  return {
    /** Puts what is new in order, makes it searchable and signs it when that is due; for a job, every second. */
    sequenceDue: sequencer.sequenceDue,
    /** The same for what this process has just written in one scope. */
    sequenceRecent: sequencer.sequenceRecent,
    /** Makes the searchable rows of a scope anew from what is stored. */
    projectAgain: sequencer.projectAgain,
    /** Says of intents without an outcome that it is unknown; for a job, every minute. Returns of how many. */
    sweepOutcomes,
    /** Forgets what an app no longer wants kept. */
    applyRetention: createApplyAuditRetention({ db, audit, clock }),
    /** Puts everything in order and signs it; call it when nothing more is appended and the database is not closed. */
    async close(): Promise<void> {
      await sequencer.sequenceDue({ all: true })
    },
    /** Makes the public keys of this process known to every reader. */
    listSigningKeys: checkpoints.listKeys,

    exports,

    /** Refusals: `invalid_cursor`, `validation_failed`. */
    listEvents: async (appId: string, query: AuditFilter & PageQuery): Promise<Listed<AuditEvent>> =>
      search(appId, parseEventFilter(query, clock.now()), query),

    listPortalActions: async (appId: string, query: AuditFilter & PageQuery): Promise<Listed<AuditEvent>> =>
      search(appId, { ...parseEventFilter(query, clock.now()), streams: ['portal'] }, query),

    listGrantEvents: async (appId: string, query: AuditFilter & PageQuery): Promise<Listed<AuditEvent>> =>
      search(appId, { ...parseEventFilter(query, clock.now()), streams: ['grants'] }, query),

    /** Refusal: `not_found`. */
    async showEvent(appId: string, eventId: string): Promise<AuditEvent> {
      return toAuditEvent(await getEvent(appId, eventId))
    },

    /** Opens the captured bodies of a row after recording who looks. Refusal: `not_found`. */
    async showBody(
      appId: string,
      eventId: string,
      operator: Reader,
    ): Promise<{ event_id: string; request: AuditBody | null; response: AuditBody | null }> {
      const found = await getEvent(appId, eventId)
      const event = toAuditEvent(found)
      await audit.change(appScope(appId, operator.organizationId), async (_tx, record) =>
        record({
          ...readerRow(operator, { resourceType: 'audit_event', resourceId: eventId }),
          event: 'audit.queried_body',
          outcome: 'success',
          grantId: event.grant_id,
          providerId: event.provider_id,
        }),
      )
      const sealed = await db.forApp(appId, (tx) => findBodies(tx, appId, found.batchId))
      if (sealed === undefined) return { event_id: eventId, request: null, response: null }
      const opened = await keyring.openFor(appId, bodiesPlace(found.batchId), sealed)
      try {
        const bodies = decodeBodies(opened)
        return {
          event_id: eventId,
          request: readAuditBody(event, 'request', bodies),
          response: readAuditBody(event, 'response', bodies),
        }
      } finally {
        opened.fill(0)
      }
    },

    async listTraces(appId: string, query: AuditFilter & PageQuery) {
      const filter = parseEventFilter(query, clock.now())
      const page = parsePage({ ...query, limit: query.limit ?? DEFAULT_LIMIT })
      const reached = await sequencer.catchUp(appId)
      const found = await db.forApp(appId, (tx) => listTraces(tx, appId, filter, page))
      return { ...toPage(found, page, (trace) => trace), ...reached }
    },

    /** Refusal: `not_found`. */
    async showTrace(
      appId: string,
      traceId: string,
    ): Promise<{ trace_id: string; items: AuditTraceRow[]; is_truncated: boolean } & CaughtUp> {
      const { events, reached } = await traceOf(appId, traceId)
      const items = traceTree(events.slice(0, TRACE_MAX_ROWS))
      return { trace_id: traceId, items, is_truncated: events.length > TRACE_MAX_ROWS, ...reached }
    },

    /** Refusal: `not_found`. */
    async explainTrace(appId: string, traceId: string): Promise<AuditExplanation & CaughtUp> {
      const { events, reached } = await traceOf(appId, traceId)
      return { ...explainTrace(traceId, events, appId), ...reached }
    },

    /** Newest first. Refusal: `invalid_cursor`. */
    async listCheckpoints(appId: string, query: PageQuery) {
      const limit = query.limit ?? DEFAULT_CHECKPOINTS
      const before = query.cursor === undefined ? undefined : parseCheckpointCursor(query.cursor)
      const found = await db.forApp(appId, (tx) => readCheckpointsBefore(tx, appId, { before, limit: limit + 1 }))
      const page = found.slice(0, limit)
      const last = page.at(-1)
      const hasMore = found.length > limit && last !== undefined
      return {
        items: page.flatMap(({ number, message, messageHash, signature }): CheckpointItem[] => {
          const checkpoint = parseCheckpointMessage(message)
          return checkpoint === null
            ? []
            : [{ checkpoint_no: number, checkpoint, message_hash: messageHash, signature }]
        }),
        has_more: hasMore,
        next_cursor: hasMore ? checkpointCursor(last.number) : null,
      }
    },

    /** Checks the log of an app and writes down what was found. */
    checkIntegrity: (appId: string, operator: Reader): Promise<Verification> =>
      integrity.checkIntegrity(appScope(appId, operator.organizationId), {
        callerKind: operator.session.callerKind,
        memberId: operator.memberId,
        clientIp: operator.clientIp,
        userAgent: operator.userAgent,
      }),

    /** The public keys of every process, as a JWK set. */
    async listPublicKeys() {
      return { keys: await db.unscoped(readPublicKeys) }
    },
  }
}

const CHECKPOINT_CURSOR = /^checkpoint:([1-9]\d{0,14})$/
const checkpointCursor = (number: number): string => Buffer.from(`checkpoint:${number}`).toString('base64url')

function parseCheckpointCursor(cursor: string): number {
  const number = CHECKPOINT_CURSOR.exec(Buffer.from(cursor, 'base64url').toString('latin1'))?.[1]
  if (number === undefined) {
    throw new VaultError('invalid_cursor', { message: '"cursor" is not one that this list gave. Start without it.' })
  }
  return Number(number)
}
