import { sql } from 'kysely'
import type { Database } from '../db/database.ts'
import type { Log } from '../kernel/log.ts'
import { closeForeignLane } from './append-store.ts'

/** A process without a heartbeat for this long is taken for dead: its lanes are closed, so it can write no more intents. */
const DEAD_AFTER_SECONDS = 60

type Deps = {
  db: Database
  log: Log
  processId: string
  /** Other than 60 s only where a test cannot wait. */
  deadAfterSeconds?: number | undefined
}

export type ProcessRegistry = ReturnType<typeof createProcessRegistry>

/** Announces this process and fences those that stopped announcing themselves. All times are the database's. */
export function createProcessRegistry({ db, log, processId, deadAfterSeconds = DEAD_AFTER_SECONDS }: Deps) {
  /** Closes every open lane of one process that is gone. */
  async function closeLanesOf(deadProcessId: string): Promise<void> {
    const lanes = await db.unscoped((tx) =>
      tx
        .selectFrom('audit_lanes')
        .select(['app_id', 'chain_id'])
        .where('process_id', '=', deadProcessId)
        .where('closed_at', 'is', null)
        .execute(),
    )
    if (lanes.length > 0) {
      const client = await db.connectClient()
      client.on('error', () => undefined)
      try {
        for (const lane of lanes) await closeForeignLane(client, lane.app_id, lane.chain_id)
      } finally {
        await client.end().catch(() => undefined)
      }
      log.warn({ process_id: deadProcessId, lanes: lanes.length }, 'closed the audit lanes of a process that is gone')
    }
  }

  return {
    async register(): Promise<void> {
      await db.unscoped((tx) => tx.insertInto('processes').values({ process_id: processId }).execute())
    },
    /** A process that was fenced while it slept counts as alive again; its old lanes stay closed. */
    async beat(): Promise<void> {
      await db.unscoped((tx) =>
        tx
          .updateTable('processes')
          .set({ heartbeat_at: sql`clock_timestamp()`, ended_at: null })
          .where('process_id', '=', processId)
          .execute(),
      )
    },
    /** Fences processes whose heartbeat is too old. Returns how many. */
    async fenceDeadProcesses(): Promise<number> {
      const dead = await db.unscoped((tx) =>
        tx
          .selectFrom('processes as p')
          .select('p.process_id')
          .where('p.process_id', '<>', processId)
          .where((where) =>
            where.or([
              where.and([
                where('p.ended_at', 'is', null),
                where('p.heartbeat_at', '<', sql<Date>`clock_timestamp() - make_interval(secs => ${deadAfterSeconds})`),
              ]),
              where.and([
                where('p.ended_at', 'is not', null),
                where.exists((open) =>
                  open
                    .selectFrom('audit_lanes as l')
                    .select('l.chain_id')
                    .whereRef('l.process_id', '=', 'p.process_id')
                    .where('l.closed_at', 'is', null),
                ),
              ]),
            ]),
          )
          .execute(),
      )
      for (const { process_id } of dead) {
        await closeLanesOf(process_id)
        await db.unscoped((tx) =>
          tx
            .updateTable('processes')
            .set({ ended_at: sql`coalesce(ended_at, clock_timestamp())` })
            .where('process_id', '=', process_id)
            .execute(),
        )
      }
      return dead.length
    },
    async end(): Promise<void> {
      await db.unscoped((tx) =>
        tx
          .updateTable('processes')
          .set({ ended_at: sql`clock_timestamp()` })
          .where('process_id', '=', processId)
          .execute(),
      )
    },
  }
}
