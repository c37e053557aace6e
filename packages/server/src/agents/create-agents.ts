import type { AuditLog } from '../audit/index.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Endings, ManagedRules } from '../management/index.ts'
import { createAgent, type KeysOfAgents } from './create-agent.ts'
import { moveAgent, revokeAgent } from './end-agent.ts'
import { listAgentsOf, showAgent, showOwnAgent } from './read-agents.ts'
import { updateAgent } from './update-agent.ts'

export type AgentsDeps = {
  db: Database
  audit: Pick<AuditLog, 'change'>
  clock: Clock
  endings: Endings
  keys: KeysOfAgents
  rules: ManagedRules
}

export type Agents = ReturnType<typeof agentUseCases>

/** Managed agents of an app. */
export function agentUseCases(deps: AgentsDeps) {
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
