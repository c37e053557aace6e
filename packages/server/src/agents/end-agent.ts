import type { Agent } from '@alter-vault/contracts'
import { lockApp } from '../apps/index.ts'
import { type AuditLog, appScope } from '../audit/index.ts'
import type { Clock } from '../kernel/clock.ts'
import {
  type AppRef,
  type ChangeAuthor,
  changeOnce,
  changeRow,
  type Endings,
  type OnEnded,
} from '../management/index.ts'
import { findUnrevokedAgentIds, getAgent, lockLiveAgent, saveAgent, storedScopes, toAgent } from './agent-store.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock }
export type AgentMove = { app: AppRef; author: ChangeAuthor; agentId: string }

/** Stops an agent, or lets it work again. Twice changes nothing. Refusals: `agent_not_found`, `conflict` for a revoked one. */
export const moveAgent =
  ({ audit, clock }: Deps, to: 'active' | 'inactive') =>
  async ({ app, author, agentId }: AgentMove): Promise<Agent> =>
    changeOnce(audit, author, appScope(app.appId, app.organizationId), async (tx, record) => {
      const row = await lockLiveAgent(tx, app.appId, agentId)
      if (row.status !== to) {
        await saveAgent(tx, app.appId, agentId, { status: to, scopes: storedScopes(row, clock.now()) })
        const event = to === 'inactive' ? 'agent.suspended' : 'agent.resumed'
        record(changeRow(author, { event, type: 'agent', id: agentId }))
      }
      return toAgent(await getAgent(tx, app.appId, agentId), clock.now())
    })

/**
 * Ends an agent for ever, with its keys, its grants, its rules and what waits for a decision on its behalf. Twice changes
 * nothing. Refusal: `agent_not_found`.
 */
export const revokeAgent =
  ({ audit, clock, endings }: Deps & { endings: Endings }) =>
  async ({ app, author, agentId }: AgentMove): Promise<Agent> =>
    changeOnce(audit, author, appScope(app.appId, app.organizationId), async (tx, record) => {
      await lockApp(tx, app.appId)
      const row = await getAgent(tx, app.appId, agentId, { lock: true })
      if (row.status !== 'revoked') {
        const at = new Date(clock.now())
        await saveAgent(tx, app.appId, agentId, { status: 'revoked', scopes: storedScopes(row, clock.now()) })
        record(changeRow(author, { event: 'agent.revoked', type: 'agent', id: agentId }))
        await endings.announce(tx, record, { type: 'agent', id: agentId, reason: 'revoked' }, { app, author, at })
      }
      return toAgent(await getAgent(tx, app.appId, agentId), clock.now())
    })

/** Ends every agent of a deleted app; their keys and grants are ended by their own slices. */
export const endAgentsWith: OnEnded = async (tx, record, ended, { app, author }) => {
  if (ended.type !== 'app' || ended.reason !== 'deleted') return
  for (const agentId of await findUnrevokedAgentIds(tx, app.appId)) {
    await saveAgent(tx, app.appId, agentId, { status: 'revoked' })
    record(changeRow(author, { event: 'agent.revoked', type: 'agent', id: agentId }))
  }
}
