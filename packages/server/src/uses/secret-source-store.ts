import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'
import { compileAllowedHosts } from '../egress/allowed-hosts.ts'
import type { CredentialType } from '../egress/credential-kind.ts'
import { credentialKinds } from '../egress/credential-kinds.ts'
import { DEFAULT_INJECTION, type Injection } from '../egress/injection.ts'
import type { SourceFacts } from './grant-facts.ts'

type Row = {
  managed_secret_id: string
  slug: string
  name: string
  status: 'active' | 'deleted'
  credential_type: CredentialType
  injection: Partial<Injection>
  allowed_hosts: string[]
  proxy_only: boolean
  version: number
}

/** Managed secrets as the sources of grants. */
export async function loadSecrets(
  tx: Tx,
  appId: string,
  secretIds: readonly string[],
): Promise<Map<string, SourceFacts>> {
  const { rows } = await sql<Row>`
    select s.managed_secret_id, s.slug, s.name, s.status, s.credential_type, s.injection, s.allowed_hosts, s.proxy_only,
      (select f.version from fences f where f.app_id = ${appId} and f.subject = 'secret:' || s.managed_secret_id) as version
    from managed_secrets s where s.app_id = ${appId} and s.managed_secret_id = any(${secretIds}::uuid[])`.execute(tx)
  return new Map(rows.map((row) => [row.managed_secret_id, factsOf(row)]))
}

function factsOf(row: Row): SourceFacts {
  const kind = credentialKinds[row.credential_type]
  const injection = { ...DEFAULT_INJECTION, ...row.injection }
  return {
    target: {
      kind: 'managed_secret',
      providerId: row.slug,
      name: row.name,
      status: row.status,
      scopes: [],
      allowedHosts: compileAllowedHosts(row.allowed_hosts),
      injectedNames: kind.injectedNames(injection),
      querySpace: kind.querySpace,
      proxyOnly: row.proxy_only,
    },
    credential: { kind, injection, generation: null, usableUntilMs: null },
    version: { subject: `secret:${row.managed_secret_id}`, version: row.version },
  }
}
