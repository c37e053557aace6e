import * as contract from '@alter-vault/contracts'
import { type BoundEndpoint, bind } from '../http/bind-endpoint.ts'
import { parsePage } from '../kernel/page.ts'
import { bindForOperators } from '../management/index.ts'
import type { Keys } from './create-keys.ts'

type Params = { app_id: string }
type InOrganization = { organizationId: string }
const inApp = ({ app_id: appId }: Params, { organizationId }: InOrganization) => ({ appId, organizationId })

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
    bindForOperators(contract.listKeys, async ({ params, query, principal }) =>
      keys.listKeys(
        inApp(params, principal),
        { status: query.status, agentId: query.agent_id, parentKeyId: query.parent_key_id },
        parsePage(query),
      ),
    ),
    bindForOperators(contract.showKeyStatistics, async ({ params, principal }) =>
      keys.countKeys(inApp(params, principal)),
    ),
    bindForOperators(contract.mintKey, async ({ params, body, principal }, author) =>
      keys.mintKey({
        app: inApp(params, principal),
        author,
        name: body.name,
        scopes: body.scopes,
        ...(body.key_type === undefined ? {} : { keyType: body.key_type }),
        ...(body.cidr_allowlist === undefined ? {} : { cidrAllowlist: body.cidr_allowlist }),
        ...(body.rate_limit_rpm === undefined ? {} : { rateLimitRpm: body.rate_limit_rpm }),
        ...(body.expires_in === undefined ? {} : { expiresIn: body.expires_in }),
        ...(body.expires_at === undefined ? {} : { expiresAt: body.expires_at }),
        ...(body.metadata === undefined ? {} : { metadata: body.metadata }),
      }),
    ),
    bindForOperators(contract.showKey, async ({ params, principal }) =>
      keys.showKey(inApp(params, principal), params.key_id),
    ),
    bindForOperators(contract.updateKey, async ({ params, body, principal }, author) =>
      keys.renameKey({ app: inApp(params, principal), author, keyId: params.key_id, change: body }),
    ),
    bindForOperators(contract.rotateKey, async ({ params, body, principal }, author) =>
      keys.rotateKey({
        app: inApp(params, principal),
        author,
        keyId: params.key_id,
        ...(body.scopes === undefined ? {} : { scopes: body.scopes }),
        ...(body.grace_seconds === undefined ? {} : { graceSeconds: body.grace_seconds }),
      }),
    ),
    bindForOperators(contract.deprecateKey, async ({ params, principal }, author) =>
      keys.markKey({ app: inApp(params, principal), author, keyId: params.key_id, deprecated: true }),
    ),
    bindForOperators(contract.undeprecateKey, async ({ params, principal }, author) =>
      keys.markKey({ app: inApp(params, principal), author, keyId: params.key_id, deprecated: false }),
    ),
    bindForOperators(contract.revokeKey, async ({ params, body, principal }, author) =>
      keys.revokeKey({ app: inApp(params, principal), author, keyId: params.key_id, force: body.force ?? false }),
    ),
    bindForOperators(contract.listAgentKeys, async ({ params, principal }) => ({
      items: await keys.listAgentKeys(inApp(params, principal), params.agent_id),
      has_more: false as const,
      next_cursor: null,
    })),
    bindForOperators(contract.mintAgentKey, async ({ params, body, principal }, author) =>
      keys.mintAgentKey({
        app: inApp(params, principal),
        author,
        agentId: params.agent_id,
        name: body.name ?? 'default',
      }),
    ),
    bindForOperators(contract.deprecateAgentKey, async ({ params, principal }, author) =>
      keys.markAgentKey({
        app: inApp(params, principal),
        author,
        keyId: params.key_id,
        agentId: params.agent_id,
        deprecated: true,
      }),
    ),
    bindForOperators(contract.undeprecateAgentKey, async ({ params, principal }, author) =>
      keys.markAgentKey({
        app: inApp(params, principal),
        author,
        keyId: params.key_id,
        agentId: params.agent_id,
        deprecated: false,
      }),
    ),
    bindForOperators(contract.revokeAgentKey, async ({ params, body, principal }, author) =>
      keys.revokeAgentKey({
        app: inApp(params, principal),
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
