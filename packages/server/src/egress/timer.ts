/** Runs `action` once after `delayMs` unless cancelled. Tests pass one that they fire by hand. */
export type After = (delayMs: number, action: () => void) => () => void

/** Node's timers. */
export const systemAfter: After = (delayMs, action) => {
  const timer = setTimeout(action, delayMs)
  return () => clearTimeout(timer)
}
