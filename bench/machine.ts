import { open, rm } from 'node:fs/promises'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'

const FLUSHES = 200
const BLOCK_BYTES = 8_192

export type FlushTimes = { p50: number; p99: number }

/** How long the disk under `folder` takes to make one block durable: a commit can be no faster. */
export async function flushMs(folder: string): Promise<FlushTimes> {
  const path = join(folder, 'flush-probe')
  const file = await open(path, 'w')
  const block = Buffer.alloc(BLOCK_BYTES, 1)
  const times: number[] = []
  try {
    for (let i = 0; i < FLUSHES; i++) {
      await file.write(block, 0, BLOCK_BYTES, (i % 64) * BLOCK_BYTES)
      const startedMs = performance.now()
      await file.datasync()
      times.push(performance.now() - startedMs)
    }
  } finally {
    await file.close()
    await rm(path)
  }
  times.sort((a, b) => a - b)
  return { p50: times[FLUSHES >> 1]!, p99: times[Math.floor(FLUSHES * 0.99)]! }
}

/** What a reader needs to know to compare: one line each. */
export function describeMachine(flush: FlushTimes, postgresVersion: string): string[] {
  const processors = cpus()
  return [
    `${processors.length} cores, ${processors[0]?.model.trim() ?? 'unknown'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB of memory`,
    `Linux ${release()}, Node ${process.version}, PostgreSQL ${postgresVersion}`,
    `One flush to the disk: p50 ${flush.p50.toFixed(2)} ms, p99 ${flush.p99.toFixed(2)} ms`,
    `Load average when it ended: ${loadavg()
      .map((value) => value.toFixed(1))
      .join(', ')}`,
  ]
}
