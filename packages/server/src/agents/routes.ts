import * as contract from '@alter-vault/contracts'
import type { BoundEndpoint } from '../http/bind-endpoint.ts'
import { parsePage } from '../kernel/page.ts'
import { bindForCallers, bindForOperators } from '../management/index.ts'
import type { Agents } from './create-agents.ts'

/** Agents; their keys are served by the keys slice. */
export function createAgentRoutes({ agents }: { agents: Agents }): BoundEndpoint[] {
  return [
    bindForOperators(contract.listAgents, async ({ app, query }) => agents.listAgents(app, query, parsePage(query))),
    bindForOperators(contract.createAgent, async ({ app, body }, author) =>
      agents.createAgent({ app, author, ...body }),
    ),
    bindForOperators(contract.showAgent, async ({ app, params }) => agents.showAgent(app, params.agent_id)),
    bindForOperators(contract.updateAgent, async ({ app, params, body, expectedVersion }, author) => {
      const { grace_seconds: graceSeconds, ...change } = body
      return agents.updateAgent({
        app,
        author,
        agentId: params.agent_id,
        expected: { version: expectedVersion, stale: 'version_conflict' },
        change,
        ...(graceSeconds === undefined ? {} : { graceSeconds }),
      })
    }),
    bindForOperators(contract.suspendAgent, async ({ app, params }, author) =>
      agents.suspendAgent({ app, author, agentId: params.agent_id }),
    ),
    bindForOperators(contract.resumeAgent, async ({ app, params }, author) =>
      agents.resumeAgent({ app, author, agentId: params.agent_id }),
    ),
    bindForOperators(contract.revokeAgent, async ({ app, params }, author) =>
      agents.revokeAgent({ app, author, agentId: params.agent_id }),
    ),
    bindForCallers(contract.sdkShowOwnAgent, async ({ principal }) => agents.showOwnAgent(principal)),
  ]
}
