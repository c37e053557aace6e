/** Resolves when the event loop has taken in what is ready now, for everybody who asked meanwhile. */
export type Turn = () => Promise<void>

/**
 * Work that arrives in pieces, one socket at a time, goes on together: step by step for all of it, and not all steps for each.
 * The code of one step is then in the processor's caches for the second and every further piece. Nothing waits for what has not
 * arrived: a lone piece goes on at the end of the same turn of the loop.
 */
export function createTurn(): Turn {
  let ending: Promise<void> | undefined
  return () => {
    ending ??= new Promise((resolve) => {
      setImmediate(() => {
        ending = undefined
        resolve()
      })
    })
    return ending
  }
}
