import { createFactCache } from '../kernel/fact-cache.ts'
import type { SeenCaller } from './actor-store.ts'

const MAX_REMEMBERED = 20_000

/** The id of a caller's actor row. Callers seen lately are remembered, so that only a new one costs a write. */
export function createObserveActor({ upsert }: { upsert: (seen: SeenCaller) => Promise<string> }) {
  const known = createFactCache<string>(MAX_REMEMBERED)
  return async (seen: SeenCaller): Promise<string> => {
    const name = JSON.stringify([seen.appId, seen.keyId, seen.callerType, seen.caller])
    const actorId = await known.get(name, async () => ({ value: await upsert(seen), subjects: [] }))
    return actorId!
  }
}
