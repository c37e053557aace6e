import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createJobs } from './jobs.ts'
import { silentLog } from './log.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const clock = { monotonic: () => 0 }

/** A run that a test ends by hand. */
function held() {
  let runs = 0
  let end: (error?: Error) => void = () => {}
  const run = () => {
    runs++
    return new Promise<void>((resolve, reject) => {
      end = (error) => (error === undefined ? resolve() : reject(error))
    })
  }
  return { run, runs: () => runs, end: (error?: Error) => end(error) }
}

describe('a job', () => {
  it('runs again and again, each time after its interval', async () => {
    const jobs = createJobs({ clock, log: silentLog })
    let runs = 0
    jobs.every('tick', 1_000, async () => {
      runs++
    })
    await vi.advanceTimersByTimeAsync(999)
    expect(runs).toBe(0)
    await vi.advanceTimersByTimeAsync(3_001)
    expect(runs).toBe(4)
    await jobs.close()
  })

  it('never overlaps itself, and counts its interval from the end of a run', async () => {
    const jobs = createJobs({ clock, log: silentLog })
    const slow = held()
    jobs.every('slow', 1_000, slow.run)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(slow.runs()).toBe(1)
    slow.end()
    await vi.advanceTimersByTimeAsync(999)
    expect(slow.runs()).toBe(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(slow.runs()).toBe(2)
    slow.end()
    await jobs.close()
  })

  it('that throws is logged and tried again', async () => {
    const errors: unknown[] = []
    const jobs = createJobs({ clock, log: { ...silentLog, error: (fields) => errors.push(fields.err) } })
    const failing = held()
    jobs.every('failing', 1_000, failing.run)
    await vi.advanceTimersByTimeAsync(1_000)
    failing.end(new Error('store away'))
    await vi.advanceTimersByTimeAsync(1_000)
    expect(String(errors)).toContain('store away')
    expect(failing.runs()).toBe(2)
    failing.end()
    await jobs.close()
  })

  it('is waited for and told to stop when the jobs close, and does not run again', async () => {
    const jobs = createJobs({ clock, log: silentLog })
    let stopped = false
    let runs = 0
    jobs.every('long', 1_000, (signal) => {
      runs++
      return new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => {
          stopped = true
          resolve()
        })
      })
    })
    await vi.advanceTimersByTimeAsync(1_000)
    await jobs.close()
    expect(stopped).toBe(true)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(runs).toBe(1)
  })

  it('has a name of its own', () => {
    const jobs = createJobs({ clock, log: silentLog })
    jobs.every('one', 1_000, async () => {})
    expect(() => jobs.every('one', 1_000, async () => {})).toThrow('two jobs are called "one"')
    return jobs.close()
  })
})
