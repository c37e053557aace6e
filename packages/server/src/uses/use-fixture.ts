import { hash, randomBytes } from 'node:crypto'
import { formatKey, KEY_RANDOM_LENGTH, type ProxyRequestBody } from '@alter-vault/contracts'
import { sql } from 'kysely'
import { appScope, createAuditLog, createRateMeter } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import { createScrubber } from '../egress/scrub.ts'
import type { Presented } from '../http/authenticators.ts'
import { noFaults } from '../kernel/faults.ts'
import { newId } from '../kernel/ids.ts'
import { silentLog } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { createIdentifyCaller } from '../keys/index.ts'
import { parseRequestRule } from '../policy/request-rule.ts'
import type { ManagementTest } from '../testing/management.ts'
import type { Verdict } from '../testing/slow-twin.ts'
import { createLastUses } from './last-uses.ts'
import { createProxyUse } from './proxy-use.ts'
import { createResolveGrant } from './resolve-grant.ts'
import { createRunUse } from './run-use.ts'
import { createUseFacts } from './use-facts.ts'

/** The slugs of the secrets that `seedApp` makes. */
export const SLUGS = ['payments', 'mail'] as const

export const keyDigest = (plain: string) => hash('sha256', plain, 'buffer')

/** One process: what it remembers is its own. Nothing is sent; a call that would be is `allow`. */
export function startProcess({ db, clock }: Pick<ManagementTest, 'db' | 'clock'>) {
  const audit = createAuditLog({ db, clock, log: silentLog })
  const meter = createRateMeter({ clock, append: audit.append })
  const facts = createUseFacts(db)
  const lastUses = createLastUses({ db, clock })
  const runUse = createRunUse({
    clock,
    audit,
    appPolicy: facts.appPolicy,
    meter,
    usableCredentials: {},
    forget: facts.forget,
    faults: noFaults,
  })
  const proxyUse = createProxyUse({
    clock,
    audit,
    identify: createIdentifyCaller({
      clock,
      keyDigest,
      findKey: facts.findKey,
      findAgent: facts.findAgent,
      observeActor: async () => newId(),
      takeRate: meter.take,
      checkRequestRule: parseRequestRule,
      noteUnknownKey: () => undefined,
    }),
    resolveGrant: createResolveGrant(facts),
    lastUsedAtMs: lastUses.lastUsedAtMs,
    noteUse: lastUses.noteUse,
    sendCall: async () => ({
      kind: 'answered',
      answer: { statusCode: 200, headers: [], body: Buffer.alloc(0), truncated: false, upstreamMs: 1 },
      scrubber: createScrubber([]),
    }),
    recordOutcome: async () => undefined,
    // Held under the same conditions as the real thing; what is held does not matter here.
    hold: ({ use, conditions }) =>
      audit.change(appScope(use.caller.appId, use.caller.organizationId), async () => ({}) as never, conditions),
  })
  return {
    async use(presented: Presented, body: ProxyRequestBody): Promise<Verdict> {
      const outgoing = await runUse(proxyUse, {
        presented,
        body: () => body,
        room: { take: () => true, release: () => undefined },
        onCaller: () => undefined,
      }).catch((error: unknown) => {
        if (error instanceof VaultError) return error
        throw error
      })
      if (outgoing instanceof VaultError) return outgoing.code
      await lastUses.save()
      return outgoing.kind === 'answered' ? 'allow' : 'hold'
    },
    close: () => audit.close(),
  }
}

/** Who made a row, where it does not matter. */
export const CREATED_BY = JSON.stringify({ type: 'system' })

/**
 * An app with two agents, a key for each and two for the app itself, two secrets with a credential each, and on the
 * first secret a grant for the app and for each agent.
 */
export async function seedApp({ db, organizationId }: Pick<ManagementTest, 'db' | 'organizationId'>) {
  const appId = newId()
  const agents = [newId(), newId()]
  const secrets = SLUGS.map((slug) => ({ slug, id: newId(), credentialId: newId() }))
  const keys = [null, null, ...agents].map((agentId, index) => ({
    id: newId(),
    agentId,
    plain: formatKey(agentId === null ? 'rk' : 'ak', randomText()),
    name: `key ${index}`,
  }))
  await db.forOrganization(organizationId, async (tx) => {
    await sql`select set_config('vault.app', ${appId}, true)`.execute(tx)
    await sql`insert into apps (app_id, organization_id, name, slug) values (${appId}, ${organizationId}, ${appId}, ${appId})`.execute(
      tx,
    )
    for (const [index, agentId] of agents.entries()) {
      await sql`insert into agents (app_id, agent_id, name, type, scopes, created_by)
        values (${appId}, ${agentId}, ${`agent-${index}`}, 'agent', ${JSON.stringify({ managed_secret_slugs: SLUGS })}, ${CREATED_BY})`.execute(
        tx,
      )
    }
    for (const key of keys) {
      await sql`insert into keys (app_id, key_id, agent_id, name, key_prefix, key_type, digest, scopes, created_by)
        values (${appId}, ${key.id}, ${key.agentId}, ${key.name}, 'alter_key', ${key.agentId === null ? 'rk' : 'ak'},
          ${keyDigest(key.plain)}, ${['proxy:execute']}, ${CREATED_BY})`.execute(tx)
      await sql`insert into key_routes (digest, app_id, key_id) values (${keyDigest(key.plain)}, ${appId}, ${key.id})`.execute(
        tx,
      )
    }
    for (const { slug, id, credentialId } of secrets) {
      await sql`insert into managed_secrets (app_id, managed_secret_id, slug, name, credential_type, allowed_hosts, created_by)
        values (${appId}, ${id}, ${slug}, ${slug}, 'bearer', ${['api.example']}, ${CREATED_BY})`.execute(tx)
      await sql`insert into credentials (app_id, credential_id, source_kind, source_id, label, sealed)
        values (${appId}, ${credentialId}, 'managed_secret', ${id}, 'Default', ${Buffer.from('sealed')})`.execute(tx)
    }
  })
  const world = {
    appId,
    organizationId,
    agents,
    keys,
    secrets,
    grants: [] as string[],
    rules: [] as string[],
    organizationRules: [] as string[],
  }
  for (const agentId of [null, ...agents]) {
    await db.forApp(appId, (tx) => insertGrant(tx, world, agentId, secrets[0], null))
  }
  return world
}

/** A grant of the app itself (`agentId` null) or of an agent; none when there is a live one just like it. */
export function insertGrant(
  tx: Tx,
  world: { appId: string; grants: string[] },
  agentId: string | null,
  secret: { slug: string; id: string; credentialId: string } | undefined,
  label: string | null,
) {
  const grantId = newId()
  world.grants.push(grantId)
  return sql`insert into grants (app_id, grant_id, principal_type, principal_id, provider_id, source_id, credential_id, label, created_by)
    values (${world.appId}, ${grantId}, ${agentId === null ? 'system' : 'agent'}, ${agentId}, ${secret?.slug}, ${secret?.id}, ${secret?.credentialId}, ${label}, ${CREATED_BY})
    on conflict do nothing`.execute(tx)
}

const randomText = () =>
  [...randomBytes(KEY_RANDOM_LENGTH)].map((byte) => 'abcdefghijklmnopqrstuvwxyz'[byte % 26]).join('')

export type World = Awaited<ReturnType<typeof seedApp>>
