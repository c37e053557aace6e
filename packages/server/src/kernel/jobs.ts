import type { Clock } from './clock.ts'
import type { Log } from './log.ts'

/** `signal` is aborted when the jobs close: a long run should stop at its next safe point. */
export type JobRun = (signal: AbortSignal) => Promise<unknown>

export type Jobs = {
  /** Runs `fn` every `intervalMs`, counted from the end of one run to the start of the next; the first one after `intervalMs`. */
  every(name: string, intervalMs: number, fn: JobRun): void
  /** Starts a job now, or waits for the run that is under way. Rejects as the run does. */
  runNow(name: string): Promise<void>
  /** No further run starts; resolves when those under way have ended. */
  close(): Promise<void>
}

/** Work that a slice wants repeated, see `Jobs.every`. */
export type Job = { name: string; everyMs: number; run: JobRun }

type Entry = { fn: JobRun; intervalMs: number; running: Promise<void> | undefined; timer: NodeJS.Timeout | undefined }

/**
 * Work that repeats in this process. A job never overlaps itself here; against other processes it must protect itself by row locks.
 * A run that throws is logged and tried again at the next turn.
 */
export function createJobs({ clock, log }: { clock: Pick<Clock, 'monotonic'>; log: Log }): Jobs {
  const jobs = new Map<string, Entry>()
  const ending = new AbortController()

  async function run(name: string, job: Entry): Promise<void> {
    const startedMs = clock.monotonic()
    try {
      await job.fn(ending.signal)
    } catch (error) {
      if (ending.signal.aborted) return
      log.error({ job: name, err: error, duration_ms: Math.round(clock.monotonic() - startedMs) }, 'job failed')
      throw error
    }
  }

  function start(name: string, job: Entry): Promise<void> {
    if (job.running === undefined) {
      clearTimeout(job.timer)
      job.running = run(name, job).finally(() => {
        job.running = undefined
        schedule(name, job)
      })
    }
    return job.running
  }

  function schedule(name: string, job: Entry): void {
    if (ending.signal.aborted) return
    // A failure is in the log already.
    job.timer = setTimeout(() => start(name, job).catch(() => {}), job.intervalMs)
    job.timer.unref()
  }

  return {
    every(name, intervalMs, fn) {
      if (jobs.has(name)) throw new Error(`two jobs are called "${name}"`)
      const job: Entry = { fn, intervalMs, running: undefined, timer: undefined }
      jobs.set(name, job)
      schedule(name, job)
    },
    async runNow(name) {
      const job = jobs.get(name)
      if (job === undefined) throw new Error(`no job is called "${name}"`)
      if (ending.signal.aborted) return
      await start(name, job)
    },
    async close() {
      ending.abort()
      for (const job of jobs.values()) clearTimeout(job.timer)
      await Promise.allSettled([...jobs.values()].map((job) => job.running))
    },
  }
}
