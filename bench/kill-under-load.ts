import { type BenchApp, signedRequests } from './bench-app.ts'
import { runLoad } from './child-program.ts'
import type { MeasuredVault } from './measured-vault.ts'

export type KillResult = { answered: number; recorded: number; intents: number }

const KILL_AFTER_MS = 2_000
const CONNECTIONS = 32

/**
 * Kills the vault with SIGKILL while calls run, starts it again, and counts: every call that was answered has its outcome in the log, and
 * every outcome its intent. Throws when one is missing.
 */
export async function killUnderLoad(vault: MeasuredVault, app: BenchApp, upstreamPort: number): Promise<KillResult> {
  const before = await countRows(vault, app.appId)
  const begun = Promise.withResolvers<void>()
  const load = runLoad(
    {
      port: vault.port,
      connections: CONNECTIONS,
      warmupSeconds: 0,
      seconds: 30,
      mayBreakOff: true,
      requests: signedRequests(app, { kind: 'proxy', upstreamPort, count: 2_000 }),
    },
    { atStart: async () => begun.resolve() },
  )
  await begun.promise
  await new Promise((resolve) => setTimeout(resolve, KILL_AFTER_MS))
  await vault.stop('SIGKILL')
  const { statuses } = await load
  const answered = statuses['200'] ?? 0
  if (answered === 0) throw new Error('no call was answered before the vault was killed, so nothing was shown')
  await vault.startAgain()
  const after = await countRows(vault, app.appId)
  const recorded = after.executed - before.executed
  const intents = after.requested - before.requested
  if (recorded < answered) throw new Error(`${answered} calls were answered, ${recorded} of them are in the log`)
  if (intents < recorded || intents > answered + CONNECTIONS) {
    throw new Error(`${intents} intents for ${recorded} outcomes and ${answered} answers`)
  }
  return { answered, recorded, intents }
}

/** Rows of proxied calls in the batches themselves, not in what was made searchable of them. */
async function countRows(vault: MeasuredVault, appId: string): Promise<{ requested: number; executed: number }> {
  return vault.asOwner(async (owner) => {
    const { rows } = await owner.query<{ requested: number; executed: number }>(
      `select count(*) filter (where l.keep like '%"event":"proxy.requested"%')::int as requested,
         count(*) filter (where l.keep like '%"event":"proxy.executed"%')::int as executed
       from audit_batches b, audit_lines(b.rows) l where b.scope_id = $1`,
      [appId],
    )
    return rows[0]!
  })
}
