/** The only source of time. Tests pass a clock that they move by hand. */
export type Clock = {
  /** Wall clock, milliseconds since the Unix epoch. */
  now(): number
  /** Monotonic milliseconds; never steps back, may stand still while the process is paused. */
  monotonic(): number
}

const CPU_READING_KEPT_MS = 1
let cpuReadAtMs = Number.NEGATIVE_INFINITY
let cpuMs = 0

/**
 * CPU time that this thread has used, in milliseconds, as it was at most a millisecond ago: reading it costs as much as evaluating a rule.
 * Stands still while other threads and processes have the CPU.
 */
export function threadCpuMs(): number {
  const nowMs = performance.now()
  if (nowMs - cpuReadAtMs >= CPU_READING_KEPT_MS) {
    const { user, system } = process.threadCpuUsage()
    cpuMs = (user + system) / 1_000
    cpuReadAtMs = nowMs
  }
  return cpuMs
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}
