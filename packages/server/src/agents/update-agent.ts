import type * as contract from '@alter-vault/contracts'
import { lockApp } from '../apps/index.ts'
import { type AuditLog, appScope } from '../audit/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'
import {
  type AppRef,
  assertVersion,
  type ChangeAuthor,
  changeRow,
  changesTo,
  type ManagedRules,
} from '../management/index.ts'
import { getOrganization, organizationSettings } from '../organizations/index.ts'
import { rulesOfPolicy } from './agent-policy.ts'
import { parseAgentScopes, planScopeChange } from './agent-scopes.ts'
import { getAgent, lockLiveAgent, saveAgent, storedScopes, toAgent } from './agent-store.ts'
import { assertMetadata } from './create-agent.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock; rules: ManagedRules }

export type AgentChange = {
  app: AppRef
  author: ChangeAuthor
  agentId: string
  /** The version that the author has seen, and how its caller is told of another; null when they did not say. */
  expected: { version: number; stale: 'version_conflict' | 'agent_concurrent_update' } | null
  change: Omit<contract.BodyOf<typeof contract.updateAgent>, 'grace_seconds'>
  graceSeconds?: number
}

/**
 * Changes what is given; the policy is replaced as a whole. Refusals: `agent_not_found`, `conflict` for a revoked agent,
 * `version_conflict` or `agent_concurrent_update`, `agent_scope_narrowing_not_supported`, `invalid_rule_body`,
 * `validation_failed`.
 */
export const updateAgent =
  ({ audit, clock, rules: managed }: Deps) =>
  async ({ app, author, agentId, expected, change, graceSeconds }: AgentChange): Promise<contract.Agent> => {
    const desired = change.scopes && parseAgentScopes(change.scopes)
    if (change.metadata !== undefined) assertMetadata(change.metadata)
    const rules = change.policy && rulesOfPolicy(change.policy)
    return audit.change(appScope(app.appId, app.organizationId), async (tx, record) => {
      await lockApp(tx, app.appId)
      const row = await lockLiveAgent(tx, app.appId, agentId)
      if (expected !== null) assertSeen(row.version, expected)
      const nowMs = clock.now()
      const before = toAgent(row, nowMs)
      const { settings } = await getOrganization(tx, app.organizationId)
      const scopes =
        desired &&
        planScopeChange({
          current: before.scopes,
          desired,
          nowMs,
          graceSeconds,
          wideningDelaySeconds: organizationSettings(settings).agent_scope_widening_delay_seconds,
          knowsVersion: expected !== null,
        })
      const { scopes: _, ...plain } = change
      const after = {
        ...plain,
        ...(scopes === undefined
          ? {}
          : {
              scopes: scopes.scopes,
              scopes_pending: scopes.scopesPending,
              scopes_applies_at: scopes.scopesAppliesAt?.toISOString() ?? null,
            }),
      }
      const changes = changesTo(before, after)
      if (changes.length === 0) return before
      // Whatever is written, a waiting change that is due is written down as applied.
      await saveAgent(tx, app.appId, agentId, { ...plain, scopes: scopes ?? storedScopes(row, nowMs) })
      record(changeRow(author, { event: 'agent.updated', type: 'agent', id: agentId, changes }))
      if (rules !== undefined) {
        const target = { type: 'agent', id: agentId } as const
        await managed.replaceManagedRules(tx, record, { app, author, target, managedBy: 'agent_policy', rules })
      }
      return toAgent(await getAgent(tx, app.appId, agentId), nowMs)
    })
  }

function assertSeen(current: number, { version, stale }: NonNullable<AgentChange['expected']>): void {
  if (stale === 'version_conflict') assertVersion(current, version)
  else if (current !== version) {
    throw new VaultError('agent_concurrent_update', {
      message: `You changed version ${version}, but version ${current} stands. Read the agent again and decide anew.`,
      fields: { current_version: current },
    })
  }
}
