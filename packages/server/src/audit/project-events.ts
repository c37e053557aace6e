import { type Database, isDatabaseUnavailable } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import {
  forgetProjection,
  type LaneTail,
  limitLockWait,
  projectNextBlocks,
  readFirstUnprojected,
  readLaneTails,
} from './projection-store.ts'

type Deps = {
  db: Pick<Database, 'forApp' | 'unscoped'>
  clock: Clock
  log: Log
  /** Rows of one transaction, about. */
  batchRows?: number
  /** How long a query waits for the projection, milliseconds. */
  catchUpMs?: number
}

/** How far the searchable rows of a scope go. */
export type CaughtUp = { complete: true; projected_to: null } | { complete: false; projected_to: string | null }

export type ProjectEvents = ReturnType<typeof createProjectEvents>

/**
 * Keeps `audit_events` behind the blocks. Rows and the lane's cursor move in one transaction; several processes share the lanes by
 * row locks. The work is done inside PostgreSQL: blocks do not travel.
 */
export function createProjectEvents({ db, clock, log, batchRows = 2_000, catchUpMs = 2_000 }: Deps) {
  const isBehind = (lane: LaneTail): boolean => !lane.projectedToEnd && (lane.nextSeq <= lane.lastSeq || lane.isClosed)

  /** One batch of each lane that is behind, in every scope; again while there is more. Returns how many rows were projected. */
  async function project(signal?: AbortSignal): Promise<number> {
    const isAborted = () => signal?.aborted === true
    let total = 0
    let lanes = (await db.unscoped((tx) => readLaneTails(tx, null))).filter(isBehind)
    while (lanes.length > 0 && !isAborted()) {
      const unfinished: LaneTail[] = []
      for (const lane of lanes) {
        if (isAborted()) break
        const done = await projectBatch(lane).catch((error: unknown) => {
          if (isUnavailable(error)) throw error
          log.error({ err: error, scope_id: lane.scopeId, chain_id: lane.chainId }, 'a lane could not be projected')
          return undefined
        })
        if (done === undefined) continue
        total += done.rows
        if (!done.isDone && done.nextSeq <= lane.lastSeq) unfinished.push(lane)
      }
      lanes = unfinished
    }
    return total
  }

  const projectBatch = (lane: LaneTail) =>
    db.forApp(lane.scopeId, (tx) => projectNextBlocks(tx, lane, { maxRows: batchRows, wait: false }))

  /** Projects one scope up to the heads that its lanes have now, for at most two seconds. */
  async function catchUp(scopeId: string): Promise<CaughtUp> {
    const endMs = clock.monotonic() + catchUpMs
    const lanes = (await db.forApp(scopeId, (tx) => readLaneTails(tx, scopeId))).filter(isBehind)
    const behind: LaneTail[] = []
    for (const lane of lanes) if (!(await catchUpLane(lane, endMs))) behind.push(lane)
    if (behind.length === 0) return { complete: true, projected_to: null }
    const firsts = await db.forApp(scopeId, async (tx) => {
      const found: (string | undefined)[] = []
      for (const lane of behind) found.push(await readFirstUnprojected(tx, lane))
      return found
    })
    const [first = null] = firsts.filter((at) => at !== undefined).sort()
    return { complete: false, projected_to: first }
  }

  /** True when the lane's rows up to its head are there. */
  async function catchUpLane(lane: LaneTail, endMs: number): Promise<boolean> {
    for (let nextSeq = lane.nextSeq; nextSeq <= lane.lastSeq; ) {
      const leftMs = endMs - clock.monotonic()
      if (leftMs <= 0) return false
      const done = await db
        .forApp(lane.scopeId, async (tx) => {
          await limitLockWait(tx, leftMs)
          return projectNextBlocks(tx, lane, { maxRows: batchRows, wait: true })
        })
        .catch((error: unknown) => {
          if (isLockTimeout(error)) return undefined
          throw error
        })
      if (done === undefined) return false
      if (done.isDone) return true
      nextSeq = done.nextSeq
    }
    return true
  }

  return {
    project,
    catchUp,
    /** Throws the projection of a scope away; it is made again with the next run. */
    async rebuild(scopeId: string): Promise<void> {
      await db.forApp(scopeId, (tx) => forgetProjection(tx, scopeId))
    },
  }
}

const isUnavailable = (error: unknown): boolean => error instanceof VaultError && !isLockTimeout(error)

const isLockTimeout = (error: unknown): boolean =>
  error instanceof VaultError &&
  isDatabaseUnavailable(error.cause) &&
  (error.cause as { code?: unknown }).code === '55P03'
