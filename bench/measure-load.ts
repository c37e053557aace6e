import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { runLoad } from './child-program.ts'
import type { MeasuredVault, Usage } from './measured-vault.ts'
import { cpuMicros } from './process-usage.ts'
import type { LoadOrder, LoadResult } from './signed-load.ts'

/** What one load cost, by call. */
export type Measured = LoadResult & {
  perSecond: number
  /** CPU microseconds of the vault's server, of the sessions that calls write through, and of those behind them. */
  serverUs: number
  databaseUs: number
  backgroundUs: number
  sumUs: number
  /** CPU microseconds of the other program that was loaded, such as the plain proxy. */
  otherUs: number
  memoryBytes: number
  /** Share of the machine's processors that was used. */
  utilization: number
  allocatedBytes: number
  walBytes: number
  storedBytes: number
}

/** After this long all rows of a load are searchable, so that what that cost is counted with the load. */
const SETTLES_MS = 1_500

/** Loads the vault, or another program beside it, and counts what its processes used. Throws when a call was not answered with 200. */
export async function measureLoad(
  order: LoadOrder,
  { vault, otherPid }: { vault: MeasuredVault; otherPid?: number },
): Promise<Measured> {
  const other = async () => (otherPid === undefined ? 0 : cpuMicros(otherPid))
  let start: { vault: Usage; other: number; machine: Machine } | undefined
  let end: { other: number; machine: Machine } | undefined
  const result = await runLoad(order, {
    atStart: async () => {
      start = { vault: await vault.usage(), other: await other(), machine: await machineCpu() }
    },
    atEnd: async () => {
      end = { other: await other(), machine: await machineCpu() }
    },
  })
  if (start === undefined || end === undefined) throw new Error('the load ended before it was measured')
  if (result.firstFailure !== null) throw new Error(`a call was not answered with 200:\n${result.firstFailure}`)
  if (result.ranOut) process.stdout.write('  (the signed requests ran out before the time did)\n')
  if (otherPid === undefined) await delay(SETTLES_MS)
  const settled = await vault.usage()
  const background = new Set(await vault.backgroundSessions())
  let [databaseMicros, backgroundMicros] = [0, 0]
  for (const [pid, micros] of settled.postgresCpuMicros) {
    const used = micros - (start.vault.postgresCpuMicros.get(pid) ?? 0)
    if (background.has(pid)) backgroundMicros += used
    else databaseMicros += used
  }
  const each = (total: number) => total / result.answers
  const before = start.vault
  const serverMicros = settled.serverCpuMicros - before.serverCpuMicros
  return {
    ...result,
    perSecond: result.answers / result.seconds,
    serverUs: each(serverMicros),
    databaseUs: each(databaseMicros),
    backgroundUs: each(backgroundMicros),
    sumUs: each(serverMicros + databaseMicros + backgroundMicros),
    otherUs: each(end.other - start.other),
    memoryBytes: settled.memoryBytes,
    utilization: 1 - (end.machine.idle - start.machine.idle) / (end.machine.all - start.machine.all),
    allocatedBytes: each(settled.allocatedBytes - before.allocatedBytes),
    walBytes: each(settled.walBytes - before.walBytes),
    storedBytes: each(settled.storedBytes - before.storedBytes),
  }
}

type Machine = { idle: number; all: number }

/** Ticks of all processors since the machine started: the first line of /proc/stat. */
async function machineCpu(): Promise<Machine> {
  const ticks = (await readFile('/proc/stat', 'utf8')).split('\n', 1)[0]!.trim().split(/\s+/).slice(1, 9).map(Number)
  return { idle: ticks[3]! + ticks[4]!, all: ticks.reduce((sum, value) => sum + value, 0) }
}
