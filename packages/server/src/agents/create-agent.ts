import type * as contract from '@alter-vault/contracts'
import { AGENT_METADATA_MAX_BYTES, type CreatedAgent } from '@alter-vault/contracts'
import { lockApp } from '../apps/index.ts'
import { type AuditLog, appScope, type RecordEvent } from '../audit/index.ts'
import type { Secret } from '../crypto/secret.ts'
import { type Tx, violatedConstraint } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { invalidField, VaultError } from '../kernel/vault-error.ts'
import {
  type AppRef,
  authorColumn,
  type ChangeAuthor,
  changeOnce,
  changeRow,
  changesBetween,
  type ManagedRules,
} from '../management/index.ts'
import { rulesOfPolicy } from './agent-policy.ts'
import { parseAgentScopes } from './agent-scopes.ts'
import { countAgents, getAgent, insertAgent, toAgent } from './agent-store.ts'

/** How agents, on which keys build, get their first key. */
export type KeysOfAgents = {
  /** Mints a key of the agent in this transaction, which holds the app's lock. */
  mintKeyOfAgent(
    tx: Tx,
    record: RecordEvent,
    input: { app: AppRef; author: ChangeAuthor; agentId: string; name: string },
  ): Promise<{ keyId: string; plain: Secret }>
}

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock; keys: KeysOfAgents; rules: ManagedRules }

export const MAX_AGENTS_PER_APP = 10_000

export type NewAgent = { app: AppRef; author: ChangeAuthor } & contract.BodyOf<typeof contract.createAgent>

/**
 * Creates an agent and its first key. Refusals: `not_found` for the app, `agent_name_exists`, `conflict` at 10 000 agents,
 * `invalid_rule_body` for its policy, `validation_failed`; for a repeat also `idempotency_key_agent_revoked` and
 * `idempotency_key_agent_inactive`.
 */
export const createAgent =
  ({ audit, clock, keys, rules: managed }: Deps) =>
  async (input: NewAgent): Promise<CreatedAgent> => {
    const { app, author, name, policy = {}, metadata = {} } = input
    const scopes = parseAgentScopes(input.scopes ?? {})
    assertMetadata(metadata)
    const rules = rulesOfPolicy(policy)
    const make = async (tx: Tx, record: RecordEvent): Promise<CreatedAgent> => {
      await lockApp(tx, app.appId)
      if ((await countAgents(tx, app.appId)) >= MAX_AGENTS_PER_APP) {
        throw new VaultError('conflict', { message: `An app has at most ${MAX_AGENTS_PER_APP} agents.` })
      }
      const agentId = newId(clock.now())
      const shown = {
        name,
        display_name: input.display_name ?? null,
        type: input.type ?? ('agent' as const),
        scopes,
        policy,
        metadata,
        rate_limit_per_minute: input.rate_limit_per_minute ?? null,
      }
      await insertAgent(tx, {
        ...shown,
        app_id: app.appId,
        agent_id: agentId,
        scopes: JSON.stringify(scopes),
        policy: JSON.stringify(policy),
        metadata: JSON.stringify(metadata),
        created_by: authorColumn(author),
        created_at: new Date(clock.now()),
      }).catch(refuseTakenName)
      record(
        changeRow(author, { event: 'agent.created', type: 'agent', id: agentId, changes: changesBetween({}, shown) }),
      )
      const target = { type: 'agent', id: agentId } as const
      await managed.replaceManagedRules(tx, record, { app, author, target, managedBy: 'agent_policy', rules })
      const { keyId, plain } = await keys.mintKeyOfAgent(tx, record, { app, author, agentId, name: 'default' })
      const agent = toAgent(await getAgent(tx, app.appId, agentId), clock.now())
      return { ...agent, api_key: plain.reveal(), key_id: keyId }
    }
    return changeOnce(audit, author, appScope(app.appId, app.organizationId), make, (tx, { id }) =>
      assertStillLives(tx, app.appId, id),
    )
  }

/** A repeat says when the agent that its key made has ended. Refusals: `idempotency_key_agent_revoked`, `idempotency_key_agent_inactive`. */
async function assertStillLives(tx: Tx, appId: string, agentId: string): Promise<void> {
  const { status } = await getAgent(tx, appId, agentId)
  if (status === 'revoked') throw new VaultError('idempotency_key_agent_revoked')
  if (status === 'inactive') throw new VaultError('idempotency_key_agent_inactive')
}

/** Refusal: `validation_failed` over 8 KiB. */
export function assertMetadata(metadata: Record<string, unknown>): void {
  const bytes = Buffer.byteLength(JSON.stringify(metadata))
  if (bytes <= AGENT_METADATA_MAX_BYTES) return
  throw invalidField('/metadata', `"metadata" holds ${bytes} bytes; at most ${AGENT_METADATA_MAX_BYTES}.`, 'too_long')
}

function refuseTakenName(error: unknown): never {
  if (violatedConstraint(error) !== 'agents_live_name') throw error
  throw new VaultError('agent_name_exists', { message: 'Another agent of this app has this name.' })
}
