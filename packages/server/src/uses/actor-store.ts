import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'

export type SeenCaller = { appId: string; keyId: string; caller: string; callerType: string; agentId: string | null }

/** Rows an app keeps; the least recently seen callers that are no agents go first. */
const MAX_ACTORS = 10_000

/** The id of the caller's row, which is made when the caller is first seen. */
export async function upsertActor(tx: Tx, actorId: string, seen: SeenCaller): Promise<string> {
  const { rows } = await sql<{ actor_id: string; made: boolean }>`
    insert into actors (app_id, actor_id, principal_kind, caller, caller_type, key_id, agent_id)
    values (${seen.appId}, ${actorId}, 'actor', ${seen.caller}, ${seen.callerType}, ${seen.keyId}, ${seen.agentId})
    on conflict (app_id, caller_type, caller, key_id) do update set last_seen_at = now()
    returning actor_id, actor_id = ${actorId} as made`.execute(tx)
  const row = rows[0]!
  if (row.made) {
    await sql`delete from actors where app_id = ${seen.appId} and actor_id in (
      select actor_id from actors where app_id = ${seen.appId} and agent_id is null
      order by last_seen_at desc offset ${MAX_ACTORS})`.execute(tx)
  }
  return row.actor_id
}

/** When a subject (`key:<id>`, `agent:<id>`, `grant:<id>`) was last used; undefined when it never was. */
export async function findLastUse(tx: Tx, appId: string, subject: string): Promise<Date | undefined> {
  const row = await tx
    .selectFrom('last_uses')
    .select('used_at')
    .where('app_id', '=', appId)
    .where('subject', '=', subject)
    .executeTakeFirst()
  return row?.used_at
}

/** Notes last uses; an older time never replaces a newer one. */
export async function saveLastUses(
  tx: Tx,
  appId: string,
  uses: readonly { subject: string; atMs: number }[],
): Promise<void> {
  const sorted = [...uses].sort((a, b) => (a.subject < b.subject ? -1 : 1))
  await sql`insert into last_uses (app_id, subject, used_at)
    select ${appId}, u.subject, u.used_at from unnest(${sorted.map((use) => use.subject)}::text[],
      ${sorted.map((use) => new Date(use.atMs))}::timestamptz[]) u (subject, used_at)
    on conflict (app_id, subject) do update set used_at = greatest(last_uses.used_at, excluded.used_at)`.execute(tx)
}
