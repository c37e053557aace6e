import type { AuditLog } from '../audit/index.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { type AgentNeighbors, createAgent } from './create-agent.ts'
import { type AgentCascade, moveAgent, revokeAgent } from './end-agent.ts'
import { listAgentsOf, showAgent, showOwnAgent } from './read-agents.ts'
import { updateAgent } from './update-agent.ts'

export type AgentsDeps = { db: Database; audit: Pick<AuditLog, 'change'>; clock: Clock } & AgentNeighbors & AgentCascade

export type Agents = ReturnType<typeof createAgents>

/** Managed agents of an app. */
export function createAgents(deps: AgentsDeps) {
  return {
    createAgent: createAgent(deps),
    showAgent: showAgent(deps),
    listAgents: listAgentsOf(deps),
    showOwnAgent: showOwnAgent(deps),
    updateAgent: updateAgent(deps),
    suspendAgent: moveAgent(deps, 'inactive'),
    resumeAgent: moveAgent(deps, 'active'),
    revokeAgent: revokeAgent(deps),
  }
}
