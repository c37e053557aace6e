import { type RawBuilder, sql } from 'kysely'
import type { Tx } from '../db/database.ts'
import { type Principal, principalSubject } from '../grants/index.ts'
import { compileGrantRestrictions } from '../policy/grant-restrictions.ts'
import type { Candidates, GrantFacts, GrantKind, SourceFacts } from './grant-facts.ts'
import type { GrantSources } from './grant-source.ts'

type Row = {
  grant_id: string
  grant_kind: GrantKind
  principal_type: Principal['type']
  principal_id: string | null
  source_id: string
  label: string | null
  status: GrantFacts['status']
  expires_at: Date | null
  created_at: Date
  restrictions: unknown
  credential_id: string
  credential_status: 'active' | 'revoked'
  sealed: Buffer | null
  hint: string | null
  grant_version: number
  credential_version: number
}

/** A grant of the app with all that its use is decided on, whatever its state; undefined when there is none. */
export async function loadGrantFacts(
  tx: Tx,
  appId: string,
  grantId: string,
  sources: GrantSources,
): Promise<GrantFacts | undefined> {
  const [grant] = await load(tx, appId, sources, sql`g.grant_id = ${grantId}`)
  return grant
}

/** The most that one call needs to see of a principal's grants on one provider: enough to say that several fit. */
const MAX_CANDIDATES = 100

/** A principal's grants on a provider, live ones first, with the principal's version. */
export async function loadCandidates(
  tx: Tx,
  appId: string,
  principal: Principal,
  providerId: string,
  sources: GrantSources,
): Promise<Candidates> {
  const { type, id } = principal
  const grants = await load(
    tx,
    appId,
    sources,
    sql`g.principal_type = ${type} and g.principal_id is not distinct from ${id}::uuid and g.provider_id = ${providerId}
      order by g.status, g.created_at, g.grant_id limit ${MAX_CANDIDATES}`,
  )
  const subject = principalSubject(principal)
  const { rows } = await sql<{ version: number }>`
    select version from fences where app_id = ${appId} and subject = ${subject}`.execute(tx)
  return { grants, version: { subject, version: rows[0]?.version ?? 0 } }
}

async function load(tx: Tx, appId: string, sources: GrantSources, which: RawBuilder<unknown>): Promise<GrantFacts[]> {
  const { rows } = await sql<Row>`
    select g.grant_id, g.grant_kind, g.principal_type, g.principal_id, g.source_id, g.label, g.status, g.expires_at, g.created_at,
      g.restrictions, c.credential_id, c.status as credential_status, c.sealed, c.hint,
      (select f.version from fences f where f.app_id = ${appId} and f.subject = 'grant:' || g.grant_id) as grant_version,
      (select f.version from fences f where f.app_id = ${appId} and f.subject = 'credential:' || c.credential_id) as credential_version
    from grants g join credentials c on c.app_id = ${appId} and c.credential_id = g.credential_id
    where g.app_id = ${appId} and ${which}`.execute(tx)
  const sourcesById = new Map<string, SourceFacts>()
  for (const kind of new Set(rows.map((row) => row.grant_kind))) {
    const ids = rows.filter((row) => row.grant_kind === kind).map((row) => row.source_id)
    for (const [id, source] of (await sources[kind]?.(tx, appId, [...new Set(ids)])) ?? []) sourcesById.set(id, source)
  }
  return rows.flatMap((row) => {
    const source = sourcesById.get(row.source_id)
    return source === undefined ? [] : [toGrantFacts(row, source)]
  })
}

function toGrantFacts(row: Row, source: SourceFacts): GrantFacts {
  return {
    grantId: row.grant_id,
    principal: { type: row.principal_type, id: row.principal_id },
    label: row.label,
    status: row.status,
    lifetime: { createdAtMs: row.created_at.getTime(), expiresAtMs: row.expires_at?.getTime() ?? null },
    checkRestrictions: row.restrictions === null ? null : compileGrantRestrictions([row.restrictions]),
    target: source.target,
    credential: {
      ...source.credential,
      credentialId: row.credential_id,
      status: row.credential_status,
      sealed: row.sealed,
      hint: row.hint,
    },
    versions: [
      { subject: `grant:${row.grant_id}`, version: row.grant_version },
      source.version,
      { subject: `credential:${row.credential_id}`, version: row.credential_version },
    ],
  }
}
