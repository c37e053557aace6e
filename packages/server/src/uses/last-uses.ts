import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { createFactCache } from '../kernel/fact-cache.ts'
import type { Caller } from '../management/index.ts'
import { findLastUse, saveLastUses } from './actor-store.ts'
import type { GrantFacts } from './grant-facts.ts'

const MAX_REMEMBERED = 100_000

/** What another process saved since is not known here for longer than this. */
const REMEMBERED_FOR_MS = 60_000

type LastUse = { atMs: number | null; asOfMs: number }

/** When keys, agents and grants were last used: in memory at once, in the database once a minute. */
export function createLastUses({ db, clock }: { db: Pick<Database, 'forApp'>; clock: Clock }) {
  const remembered = createFactCache<LastUse>(MAX_REMEMBERED)
  let unsaved = new Map<string, Map<string, number>>()

  function note(appId: string, subject: string, atMs: number): void {
    const known = remembered.peek(`${appId} ${subject}`)
    if (known !== undefined) Object.assign(known, { atMs, asOfMs: atMs })
    let ofApp = unsaved.get(appId)
    if (ofApp === undefined) {
      ofApp = new Map()
      unsaved.set(appId, ofApp)
    }
    ofApp.set(subject, atMs)
  }

  return {
    noteUse(caller: Caller, grant: GrantFacts): void {
      const atMs = clock.now()
      note(caller.appId, `key:${caller.keyId}`, atMs)
      note(caller.appId, `grant:${grant.grantId}`, atMs)
      if (caller.agentId !== null) note(caller.appId, `agent:${caller.agentId}`, atMs)
    },

    async lastUsedAtMs(appId: string, grantId: string): Promise<number | null> {
      const subject = `grant:${grantId}`
      const name = `${appId} ${subject}`
      const nowMs = clock.now()
      if (nowMs - (remembered.peek(name)?.asOfMs ?? nowMs) >= REMEMBERED_FOR_MS) remembered.forget([name])
      const known = await remembered.get(name, async () => {
        const usedAt = await db.forApp(appId, (tx) => findLastUse(tx, appId, subject))
        const atMs = unsaved.get(appId)?.get(subject) ?? usedAt?.getTime() ?? null
        return { value: { atMs, asOfMs: nowMs }, subjects: [name] }
      })
      return known?.atMs ?? null
    },

    /** Writes what was noted since the last time. What cannot be written is kept for the next. */
    async save(): Promise<void> {
      const noted = unsaved
      unsaved = new Map()
      for (const [appId, uses] of noted) {
        try {
          await db.forApp(
            appId,
            (tx) =>
              saveLastUses(
                tx,
                appId,
                [...uses].map(([subject, atMs]) => ({ subject, atMs })),
              ),
            { retryable: true },
          )
        } catch (error) {
          for (const [subject, atMs] of uses) if (!unsaved.get(appId)?.has(subject)) note(appId, subject, atMs)
          throw error
        }
      }
    },
  }
}
