import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'
import { compileAllowedHosts } from '../egress/allowed-hosts.ts'
import type { CredentialType } from '../egress/credential-value.ts'
import { injectedNames } from '../egress/inject.ts'
import { DEFAULT_INJECTION, type Injection } from '../egress/injection.ts'
import { compileGrantRestrictions } from '../policy/grant-restrictions.ts'
import type { Candidates, GrantFacts } from './grant-facts.ts'

type Row = {
  grant_id: string
  principal_type: GrantFacts['principalType']
  principal_id: string | null
  label: string | null
  status: GrantFacts['status']
  expires_at: Date | null
  created_at: Date
  restrictions: unknown
  managed_secret_id: string
  slug: string
  secret_name: string
  secret_status: 'active' | 'deleted'
  credential_type: CredentialType
  injection: unknown
  allowed_hosts: string[]
  proxy_only: boolean
  credential_id: string
  credential_status: 'active' | 'revoked'
  sealed: Buffer | null
  hint: string | null
  grant_version: number
  secret_version: number
  credential_version: number
}

const select = (appId: string) => sql`
  select g.grant_id, g.principal_type, g.principal_id, g.label, g.status, g.expires_at, g.created_at, g.restrictions,
    s.managed_secret_id, s.slug, s.name as secret_name, s.status as secret_status, s.credential_type, s.injection, s.allowed_hosts, s.proxy_only,
    c.credential_id, c.status as credential_status, c.sealed, c.hint,
    (select f.version from fences f where f.app_id = ${appId} and f.subject = 'grant:' || g.grant_id) as grant_version,
    (select f.version from fences f where f.app_id = ${appId} and f.subject = 'secret:' || s.managed_secret_id) as secret_version,
    (select f.version from fences f where f.app_id = ${appId} and f.subject = 'credential:' || c.credential_id) as credential_version
  from grants g
  join managed_secrets s on s.app_id = ${appId} and s.managed_secret_id = g.managed_secret_id
  join credentials c on c.app_id = ${appId} and c.credential_id = g.credential_id`

/** A grant of the app with all that its use rests on, whatever its state; undefined when there is none. */
export async function loadGrantFacts(tx: Tx, appId: string, grantId: string): Promise<GrantFacts | undefined> {
  const { rows } = await sql<Row>`${select(appId)} where g.app_id = ${appId} and g.grant_id = ${grantId}`.execute(tx)
  return rows[0] && toGrantFacts(rows[0])
}

/** The most that one call needs to see of a principal's grants on one provider: enough to say that several fit. */
const MAX_CANDIDATES = 100

/** A principal's grants on a secret's slug, live ones first, with the principal's version. */
export async function loadCandidates(
  tx: Tx,
  appId: string,
  principal: 'system' | { agentId: string },
  slug: string,
): Promise<Candidates> {
  const type = principal === 'system' ? 'system' : 'agent'
  const id = principal === 'system' ? null : principal.agentId
  const { rows } = await sql<Row>`${select(appId)}
    where g.app_id = ${appId} and g.principal_type = ${type} and g.principal_id is not distinct from ${id}::uuid and s.slug = ${slug}
    order by g.status, g.created_at, g.grant_id limit ${MAX_CANDIDATES}`.execute(tx)
  const subject = `principal:${type}:${id ?? ''}`
  const principalVersion = await sql<{ version: number }>`
    select version from fences where app_id = ${appId} and subject = ${subject}`.execute(tx)
  return { grants: rows.map(toGrantFacts), version: { subject, version: principalVersion.rows[0]?.version ?? 0 } }
}

function toGrantFacts(row: Row): GrantFacts {
  const injection = { ...DEFAULT_INJECTION, ...(row.injection as Partial<Injection>) }
  return {
    grantId: row.grant_id,
    kind: 'managed_secret',
    principalType: row.principal_type,
    principalId: row.principal_id,
    label: row.label,
    status: row.status,
    expiresAtMs: row.expires_at?.getTime() ?? null,
    createdAtMs: row.created_at.getTime(),
    checkRestrictions: row.restrictions === null ? null : compileGrantRestrictions([row.restrictions]),
    secret: {
      managedSecretId: row.managed_secret_id,
      slug: row.slug,
      name: row.secret_name,
      status: row.secret_status,
      type: row.credential_type,
      injection,
      injectedNames: injectedNames(row.credential_type, injection),
      allowedHosts: compileAllowedHosts(row.allowed_hosts),
      proxyOnly: row.proxy_only,
    },
    credential: { credentialId: row.credential_id, status: row.credential_status, sealed: row.sealed, hint: row.hint },
    versions: [
      { subject: `grant:${row.grant_id}`, version: row.grant_version },
      { subject: `secret:${row.managed_secret_id}`, version: row.secret_version },
      { subject: `credential:${row.credential_id}`, version: row.credential_version },
    ],
  }
}
