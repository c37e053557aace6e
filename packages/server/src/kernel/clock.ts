/** The only source of time. Tests pass a clock that they move by hand. */
export type Clock = {
  /** Wall clock, milliseconds since the Unix epoch. */
  now(): number
  /** Monotonic milliseconds; never steps back, may stand still while the process is paused. */
  monotonic(): number
}

/** CPU time that this thread has used, in milliseconds. Stands still while other threads and processes have the CPU. */
export function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}
