import * as contract from '@alter-vault/contracts'
import type { BoundEndpoint } from '../http/bind-endpoint.ts'
import { parsePage } from '../kernel/page.ts'
import { bindForCallers, bindForOperators } from '../management/index.ts'
import type { Agents } from './create-agents.ts'

const inApp = ({ app_id: appId }: { app_id: string }, { organizationId }: { organizationId: string }) => ({
  appId,
  organizationId,
})

/** Agents; their keys are served by the keys slice. */
export function createAgentRoutes({ agents }: { agents: Agents }): BoundEndpoint[] {
  return [
    bindForOperators(contract.listAgents, async ({ params, query, principal }) => {
      const { status, type, provider, search } = query
      return agents.listAgents(inApp(params, principal), { status, type, provider, search }, parsePage(query))
    }),
    bindForOperators(contract.createAgent, async ({ params, body, principal }, author) =>
      agents.createAgent({ app: inApp(params, principal), author, ...body }),
    ),
    bindForOperators(contract.showAgent, async ({ params, principal }) =>
      agents.showAgent(inApp(params, principal), params.agent_id),
    ),
    bindForOperators(contract.updateAgent, async ({ params, body, expectedVersion, principal }, author) => {
      const { grace_seconds: graceSeconds, ...change } = body
      return agents.updateAgent({
        app: inApp(params, principal),
        author,
        agentId: params.agent_id,
        expected: { version: expectedVersion, stale: 'version_conflict' },
        change,
        ...(graceSeconds === undefined ? {} : { graceSeconds }),
      })
    }),
    bindForOperators(contract.suspendAgent, async ({ params, principal }, author) =>
      agents.suspendAgent({ app: inApp(params, principal), author, agentId: params.agent_id }),
    ),
    bindForOperators(contract.resumeAgent, async ({ params, principal }, author) =>
      agents.resumeAgent({ app: inApp(params, principal), author, agentId: params.agent_id }),
    ),
    bindForOperators(contract.revokeAgent, async ({ params, principal }, author) =>
      agents.revokeAgent({ app: inApp(params, principal), author, agentId: params.agent_id }),
    ),
    bindForCallers(contract.sdkShowOwnAgent, async ({ principal }) => agents.showOwnAgent(principal)),
  ]
}
