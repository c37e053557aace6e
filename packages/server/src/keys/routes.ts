import * as contract from '@alter-vault/contracts'
import { type BoundEndpoint, bind } from '../http/bind-endpoint.ts'
import { parsePage } from '../kernel/page.ts'
import { bindForOperators } from '../management/index.ts'
import type { Keys } from './create-keys.ts'

const catalog = () => ({
  scope_version: contract.SCOPE_VERSION,
  resources: Object.fromEntries(
    Object.entries(contract.scopeResources).map(([name, verbs]) => [name, { verbs: [...verbs] }]),
  ),
  action_verbs: [...contract.actionScopes],
  deprecated: Object.keys(contract.deprecatedScopes),
})

/** Keys of apps and agents, and the catalog of what they can hold. */
export function createKeyRoutes({ keys }: { keys: Keys }): BoundEndpoint[] {
  return [
    bindForOperators(contract.listKeys, async ({ app, query }) => keys.listKeys(app, query, parsePage(query))),
    bindForOperators(contract.showKeyStatistics, async ({ app }) => keys.countKeys(app)),
    bindForOperators(contract.mintKey, async ({ app, body }, author) => keys.mintKey({ app, author, ...body })),
    bindForOperators(contract.showKey, async ({ app, params }) => keys.showKey(app, params.key_id)),
    bindForOperators(contract.updateKey, async ({ app, params, body }, author) =>
      keys.renameKey({ app, author, keyId: params.key_id, change: body }),
    ),
    bindForOperators(contract.rotateKey, async ({ app, params, body }, author) =>
      keys.rotateKey({
        app,
        author,
        keyId: params.key_id,
        ...(body.scopes === undefined ? {} : { scopes: body.scopes }),
        ...(body.grace_seconds === undefined ? {} : { graceSeconds: body.grace_seconds }),
      }),
    ),
    bindForOperators(contract.deprecateKey, async ({ app, params }, author) =>
      keys.markKey({ app, author, keyId: params.key_id, deprecated: true }),
    ),
    bindForOperators(contract.undeprecateKey, async ({ app, params }, author) =>
      keys.markKey({ app, author, keyId: params.key_id, deprecated: false }),
    ),
    bindForOperators(contract.revokeKey, async ({ app, params, body }, author) =>
      keys.revokeKey({ app, author, keyId: params.key_id, force: body.force ?? false }),
    ),
    bindForOperators(contract.listAgentKeys, async ({ app, params }) => ({
      items: await keys.listAgentKeys(app, params.agent_id),
      has_more: false as const,
      next_cursor: null,
    })),
    bindForOperators(contract.mintAgentKey, async ({ app, params, body }, author) =>
      keys.mintAgentKey({
        app,
        author,
        agentId: params.agent_id,
        name: body.name ?? 'default',
      }),
    ),
    bindForOperators(contract.deprecateAgentKey, async ({ app, params }, author) =>
      keys.markAgentKey({
        app,
        author,
        keyId: params.key_id,
        agentId: params.agent_id,
        deprecated: true,
      }),
    ),
    bindForOperators(contract.undeprecateAgentKey, async ({ app, params }, author) =>
      keys.markAgentKey({
        app,
        author,
        keyId: params.key_id,
        agentId: params.agent_id,
        deprecated: false,
      }),
    ),
    bindForOperators(contract.revokeAgentKey, async ({ app, params, body }, author) =>
      keys.revokeAgentKey({
        app,
        author,
        keyId: params.key_id,
        agentId: params.agent_id,
        force: body.force ?? false,
      }),
    ),
    bind(contract.listScopes, async () => catalog()),
    bind(contract.sdkListScopes, async () => catalog()),
  ]
}
