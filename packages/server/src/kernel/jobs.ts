import type { Clock } from './clock.ts'
import type { Log } from './log.ts'

/** `signal` is aborted when the jobs close: a long run should stop at its next safe point. */
export type JobRun = (signal: AbortSignal) => Promise<unknown>

export type Jobs = {
  /** Runs `fn` every `intervalMs`, counted from the end of one run to the start of the next; the first one after `intervalMs`. */
  every(name: string, intervalMs: number, fn: JobRun): void
  /** No further run starts; resolves when those under way have ended. */
  close(): Promise<void>
}

/** Work that a slice wants repeated, see `Jobs.every`. */
export type Job = { name: string; everyMs: number; run: JobRun }

type Entry = {
  name: string
  fn: JobRun
  intervalMs: number
  running: Promise<void> | undefined
  timer: NodeJS.Timeout | undefined
}

/**
 * Work that repeats in this process. A job never overlaps itself here; against other processes it must protect itself by row locks.
 * A run that throws is logged and tried again at the next turn.
 */
export function createJobs({ clock, log }: { clock: Pick<Clock, 'monotonic'>; log: Log }): Jobs {
  const jobs = new Map<string, Entry>()
  const ending = new AbortController()

  async function run(job: Entry): Promise<void> {
    const startedMs = clock.monotonic()
    try {
      await job.fn(ending.signal)
    } catch (error) {
      if (ending.signal.aborted) return
      log.error({ job: job.name, err: error, duration_ms: Math.round(clock.monotonic() - startedMs) }, 'job failed')
    } finally {
      schedule(job)
    }
  }

  function schedule(job: Entry): void {
    if (ending.signal.aborted) return
    job.timer = setTimeout(() => {
      job.running = run(job)
    }, job.intervalMs)
    job.timer.unref()
  }

  return {
    every(name, intervalMs, fn) {
      if (jobs.has(name)) throw new Error(`two jobs are called "${name}"`)
      const job: Entry = { name, fn, intervalMs, running: undefined, timer: undefined }
      jobs.set(name, job)
      schedule(job)
    },
    async close() {
      ending.abort()
      for (const job of jobs.values()) clearTimeout(job.timer)
      await Promise.allSettled([...jobs.values()].map((job) => job.running))
    },
  }
}
