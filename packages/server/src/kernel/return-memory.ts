import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const SLACK_BYTES = 64 * 1024 * 1024

/** The engine's own collection, which Node hands out by this flag only. */
function exposedCollection(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

/**
 * To be called now and then: collects garbage when buffers stay far above what they were after the last time. The engine collects when it
 * allocates, so a process that has become quiet would keep the bodies and answers of its busiest moment for hours. A busy one is below
 * at the second look, and never pays.
 */
export function createReturnMemory(
  readBytes = () => process.memoryUsage().arrayBuffers,
  collect = exposedCollection(),
): () => Promise<void> {
  let floor = readBytes()
  let isAbove = false
  return async () => {
    const bytes = readBytes()
    floor = Math.min(floor, bytes)
    if (bytes - floor < SLACK_BYTES) {
      isAbove = false
    } else if (isAbove) {
      collect()
      // What is held rightly is no reason to collect again.
      floor = readBytes()
      isAbove = false
    } else isAbove = true
  }
}
