import type { Agent } from '@alter-vault/contracts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { type ListPage, type Page, toPage } from '../kernel/page.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { AppRef, SdkCaller } from '../management/index.ts'
import { type AgentFilter, getAgent, listAgents, toAgent } from './agent-store.ts'

type Deps = { db: Pick<Database, 'forApp'>; clock: Clock }

/** One agent. Refusal: `agent_not_found`. */
export const showAgent =
  ({ db, clock }: Deps) =>
  async ({ appId }: AppRef, agentId: string): Promise<Agent> =>
    db.forApp(appId, async (tx) => toAgent(await getAgent(tx, appId, agentId), clock.now()))

/** The agents of an app, newest first. */
export const listAgentsOf =
  ({ db, clock }: Deps) =>
  async ({ appId }: AppRef, filter: AgentFilter, page: Page): Promise<ListPage<Agent>> =>
    db.forApp(appId, async (tx) => {
      const nowMs = clock.now()
      const rows = await listAgents(tx, appId, filter, page, new Date(nowMs))
      return toPage(rows, page, (row) => toAgent(row, nowMs))
    })

/**
 * The agent that a call is made as. Read through an app's key the approvers of its policy are only counted. Refusal:
 * `me_requires_agent_key`.
 */
export const showOwnAgent =
  (deps: Deps) =>
  async (caller: SdkCaller): Promise<Agent> => {
    if (caller.agentId === null) {
      throw new VaultError('me_requires_agent_key', { message: 'This call is made as no agent.' })
    }
    const { created_by: _, ...agent } = await showAgent(deps)(caller, caller.agentId)
    return caller.impersonated ? { ...agent, policy: withoutApprovers(agent.policy) } : agent
  }

/** A policy block without the names of those who decide. */
export function withoutApprovers(policy: Record<string, unknown>): Record<string, unknown> {
  const approval = policy.requires_approval as { approvers?: readonly unknown[] } | undefined
  if (approval?.approvers === undefined) return policy
  const { approvers, ...rest } = approval
  return { ...policy, requires_approval: { ...rest, approvers_count: approvers.length } }
}
