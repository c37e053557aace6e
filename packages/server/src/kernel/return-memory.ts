import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const SLACK_BYTES = 64 * 1024 * 1024

/** The engine's own collection, which Node hands out by this flag only. */
function exposedCollection(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

/** Looks before the first collection, and at most between two that brought nothing. */
const PATIENCE = 3
const MAX_PATIENCE = 60

/**
 * To be called every few seconds: collects garbage while buffers stay far above the least that they ever were. The engine collects when
 * it allocates, so a process that has become quiet would keep the bodies and answers of its busiest moment for hours. What is held
 * rightly looks the same, so a collection that brought nothing is waited for twice as long the next time.
 */
export function createReturnMemory(
  readBytes = () => process.memoryUsage().arrayBuffers,
  collect = exposedCollection(),
): () => Promise<void> {
  let least = readBytes()
  let looks = 0
  let patience = PATIENCE
  /** What there was before the last collection; the engine frees and counts in the background. */
  let before: number | undefined
  return async () => {
    const bytes = readBytes()
    least = Math.min(least, bytes)
    if (before !== undefined) {
      patience = before - bytes < SLACK_BYTES ? Math.min(patience * 2, MAX_PATIENCE) : PATIENCE
      before = undefined
    }
    if (bytes - least < SLACK_BYTES) {
      looks = 0
      patience = PATIENCE
    } else if (++looks >= patience) {
      collect()
      looks = 0
      before = bytes
    }
  }
}
