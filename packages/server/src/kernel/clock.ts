/** The only source of time. Tests pass a clock that they move by hand. */
export type Clock = {
  /** Wall clock, milliseconds since the Unix epoch. */
  now(): number
  /** Monotonic milliseconds; never steps back, may stand still while the process is paused. */
  monotonic(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}
