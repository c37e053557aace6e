import type { AuditExport, AuditFilter } from '@alter-vault/contracts'
import type { Database, Tx } from '../db/database.ts'
import type { ServedFile } from '../http/answer.ts'
import { makeOnce, type Once } from '../http/once.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { invalidField, VaultError } from '../kernel/vault-error.ts'
import type { AuditLog, RecordEvent } from './audit-log.ts'
import { appScope } from './audit-row.ts'
import { findCheckpointsAround, findLastCheckpoint } from './checkpoint-store.ts'
import { parseEventFilter, parseTimeRange } from './event-filter.ts'
import { countEvents, type EventFilter } from './event-store.ts'
import {
  countRows,
  dropExpiredExports,
  type ExportExtent,
  findBatchesByTime,
  insertExport,
  proposeSplit,
  readExports,
  readExportTimes,
  type StoredExport,
} from './export-store.ts'
import { findScope } from './log-store.ts'
import { type Reader, readerRow } from './reader.ts'
import type { Sequencer } from './sequence-batches.ts'
import { writeCheckpointsFile, writeCsvFile, writeRowsFile } from './write-export.ts'

const MAX_ROWS = 100_000
/** Parts that a proposed split has, with room for rows that share a time. */
const SPLIT_ROWS = 90_000
const TTL_MS = 86_400_000
const PER_HOUR = 5
const HOUR_MS = 3_600_000

type Deps = {
  db: Pick<Database, 'forApp' | 'forScope' | 'readForApp'>
  audit: Pick<AuditLog, 'change'>
  clock: Pick<Clock, 'now'>
  sequencer: Pick<Sequencer, 'catchUp' | 'sequenceAndSign'>
}

export type ExportRequest = { format: 'ndjson' | 'csv' } & AuditFilter

/**
 * Exports fix *what* is exported and nothing else: the log does not change, so the files are written when they are fetched, and no
 * copy of it lies about. Refusals: `export_too_large`, `rate_limit_exceeded`, `validation_failed`, `not_found`, `unavailable`.
 */
export function createExports({ db, audit, clock, sequencer }: Deps) {
  async function create(appId: string, operator: Reader, request: ExportRequest, once?: Once): Promise<AuditExport> {
    const { format, ...filters } = request
    const createdAt = new Date(clock.now())
    await assertRoom(appId, operator.memberId, createdAt)
    const made = await (format === 'csv' ? planCsv(appId, filters, createdAt) : planRows(appId, filters))
    const stored: StoredExport = {
      exportId: newId(clock.now()),
      format,
      createdAt,
      expiresAt: new Date(createdAt.getTime() + TTL_MS),
      ...made,
    }
    const make = async (tx: Tx, record: RecordEvent) => {
      await dropExpiredExports(tx, appId, createdAt)
      await insertExport(tx, appId, { ...stored, memberId: operator.memberId })
      record({
        event: 'audit.exported',
        outcome: 'success',
        ...readerRow(operator, {
          resourceType: 'audit_export',
          resourceId: stored.exportId,
          changes: Object.entries({ format, row_count: stored.rowCount, filters: stored.filters }).map(
            ([field, value]) => ({ field, from: null, to: JSON.stringify(value) }),
          ),
        }),
      })
      return toExport(appId, stored)
    }
    return audit.change(appScope(appId, operator.organizationId), (tx, record) =>
      once === undefined ? make(tx, record) : makeOnce(tx, once, appId, () => make(tx, record)),
    )
  }

  async function assertRoom(appId: string, memberId: string, now: Date): Promise<void> {
    const since = new Date(now.getTime() - HOUR_MS)
    const times = await db.forApp(appId, (tx) => readExportTimes(tx, appId, memberId, since))
    const oldest = times.at(-PER_HOUR)
    if (times.length < PER_HOUR || oldest === undefined) return
    throw new VaultError('rate_limit_exceeded', {
      message: `A member may make ${PER_HOUR} exports an hour. Nothing was exported.`,
      retryAfterSeconds: Math.max(1, Math.ceil((oldest.getTime() + HOUR_MS - now.getTime()) / 1_000)),
    })
  }

  async function planCsv(appId: string, filters: AuditFilter, now: Date) {
    const range = parseTimeRange(filters, now.getTime(), '/')
    // Rows that are added while it is fetched do not belong to it.
    const end = range.end ?? new Date(now.getTime() + 1).toISOString()
    const { since: _, ...others } = filters
    const fixed = { ...others, ...(range.start === undefined ? {} : { start: range.start }), end }
    await catchUp(appId)
    const filter = parseEventFilter(fixed, now.getTime())
    const rowCount = await db.forApp(appId, (tx) => countEvents(tx, appId, filter, MAX_ROWS + 1))
    if (rowCount > MAX_ROWS) throw await tooLarge(appId, `more than ${MAX_ROWS}`, filter)
    return { filters: fixed as Record<string, unknown>, extent: null, rowCount }
  }

  async function planRows(appId: string, filters: AuditFilter) {
    const { since, start, end, ...others } = filters
    const other = Object.keys(others)[0]
    if (other !== undefined) {
      const message = `An NDJSON export holds whole stretches of the log, so that it can be verified; "${other}" would leave rows out. Choose by time, or export CSV.`
      throw invalidField(`/${other}`, message, 'conflict')
    }
    const range = parseTimeRange({ since, start, end }, clock.now(), '/')
    // What is new gets its checkpoint first, so that the export has no unsigned tail.
    await sequencer.sequenceAndSign(appId)
    const isWhole = range.start === undefined && range.end === undefined
    const extent = await (isWhole ? wholeExtent(appId) : extentOf(appId, range))
    const { batches } = extent
    const rowCount = batches === null ? 0 : await db.forApp(appId, (tx) => countRows(tx, appId, batches))
    if (rowCount > MAX_ROWS) {
      if (isWhole) await catchUp(appId)
      throw await tooLarge(appId, String(rowCount), range)
    }
    return { filters: range as Record<string, unknown>, extent, rowCount }
  }

  const wholeExtent = (appId: string): Promise<ExportExtent> =>
    db.readForApp(appId, async (tx) => {
      const last = await findLastCheckpoint(tx, appId)
      const sequence = (await findScope(tx, appId))?.sequence ?? 0
      return {
        whole: true,
        batches: sequence === 0 ? null : { from: 1, to: sequence },
        checkpoints: last === undefined ? null : { from: 1, to: last.number },
      }
    })

  async function extentOf(appId: string, range: Pick<EventFilter, 'start' | 'end'>): Promise<ExportExtent> {
    await catchUp(appId)
    const times = { start: range.start ?? null, end: range.end ?? null }
    return db.readForApp(appId, async (tx) => ({
      whole: false,
      batches: await findBatchesByTime(tx, appId, times),
      checkpoints: (await findCheckpointsAround(tx, appId, times)) ?? null,
    }))
  }

  async function catchUp(appId: string): Promise<void> {
    const { complete } = await sequencer.catchUp(appId)
    if (complete) return
    throw new VaultError('unavailable', {
      message: 'The newest rows are still being made searchable. Nothing was exported. Try again shortly.',
      retryAfterSeconds: 5,
    })
  }

  async function tooLarge(
    appId: string,
    count: string,
    range: Pick<EventFilter, 'start' | 'end'>,
  ): Promise<VaultError> {
    const { start = null, end = null } = range
    const times = await db.forApp(appId, (tx) => proposeSplit(tx, appId, { start, end }, SPLIT_ROWS))
    const split = times.map((at, index) => ({ start: index === 0 ? (start ?? at) : at, end: times[index + 1] ?? end }))
    return new VaultError('export_too_large', {
      message: `The export would have ${count} rows; at most ${MAX_ROWS} fit. Nothing was exported. Split it by time; "details" proposes how.`,
      fields: { details: { count, split } },
    })
  }

  async function find(appId: string, exportId: string): Promise<StoredExport> {
    const now = new Date(clock.now())
    const [found] = await db.forApp(appId, (tx) => readExports(tx, appId, now, { exportId }))
    if (found === undefined)
      throw new VaultError('not_found', { message: 'There is no such export; exports last for 24 hours.' })
    return found
  }

  return {
    create,

    async list(appId: string): Promise<AuditExport[]> {
      const now = new Date(clock.now())
      const found = await db.forApp(appId, (tx) => readExports(tx, appId, now))
      return found.map((stored) => toExport(appId, stored))
    },

    async show(appId: string, exportId: string): Promise<AuditExport> {
      return toExport(appId, await find(appId, exportId))
    },

    async rowsFile(appId: string, exportId: string): Promise<ServedFile> {
      const { format, filters, extent } = await find(appId, exportId)
      if (format === 'ndjson' && extent !== null) {
        return {
          contentType: 'application/x-ndjson',
          fileName: `audit-${exportId}.ndjson`,
          chunks: writeRowsFile(db, appId, extent),
        }
      }
      const filter = parseEventFilter(filters as AuditFilter, clock.now())
      return {
        contentType: 'text/csv; charset=utf-8; header=present',
        fileName: `audit-${exportId}.csv`,
        chunks: writeCsvFile(db, appId, filter),
      }
    },

    async checkpointsFile(appId: string, exportId: string): Promise<ServedFile> {
      const { extent } = await find(appId, exportId)
      if (extent === null) throw new VaultError('not_found', { message: 'Only an NDJSON export has checkpoints.' })
      return {
        contentType: 'application/x-ndjson',
        fileName: `audit-${exportId}-checkpoints.ndjson`,
        chunks: writeCheckpointsFile(db, appId, extent),
      }
    },
  }
}

function toExport(appId: string, stored: StoredExport): AuditExport {
  const path = `/api/v1/apps/${appId}/audit/exports/${stored.exportId}`
  return {
    id: stored.exportId,
    format: stored.format,
    status: 'ready',
    filters: stored.filters,
    row_count: stored.rowCount,
    created_at: stored.createdAt.toISOString(),
    expires_at: stored.expiresAt.toISOString(),
    rows_path: `${path}/rows`,
    checkpoints_path: stored.extent === null ? null : `${path}/checkpoints`,
  }
}
