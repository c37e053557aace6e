import { type AgentsDeps, agentUseCases } from './create-agents.ts'
import { createAgentRoutes } from './routes.ts'

export { agentMayUse, type StoredScopes, scopesInForce } from './agent-scopes.ts'
export { agentNotFound, findAgent, getAgent, lockLiveAgent } from './agent-store.ts'
export type { NewAgent } from './create-agent.ts'
export type { Agents, AgentsDeps } from './create-agents.ts'
export { endAgentsWith } from './end-agent.ts'
export type { AgentChange } from './update-agent.ts'

/** Managed agents of an app. */
export function createAgents(deps: AgentsDeps) {
  const agents = agentUseCases(deps)
  return { ...agents, routes: createAgentRoutes({ agents }) }
}
