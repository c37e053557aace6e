import { randomUUID } from 'node:crypto'
import { Agent, App, type AppOptions } from '@alter-ai/alter-sdk'
import type { ManagedSecret } from '@alter-vault/contracts'
import { type ManagementClient, openApp } from './management-client.ts'
import { type RecordingApi, startRecordingApi } from './recording-api.ts'
import { startVault, type Vault } from './start-vault.ts'

/** A vault whose app and agent may use one credential at one provider that remembers every request. */
export type VaultWithProvider = AsyncDisposable & {
  vault: Vault
  api: RecordingApi
  operator: ManagementClient
  /** An app of its own, apart from the demonstration's. */
  appId: string
  runtimeKey: string
  /** The credential's plain value, made up for this run. */
  token: string
  secret: ManagedSecret
  /** The grant by which app keys use the secret. */
  grantId: string
  agent: { id: string; apiKey: string; grantId: string }
  app(options?: Partial<AppOptions>): App
  worker(options?: Partial<AppOptions>): Agent
  /** Holds every proxied call to paths that the glob fits. Answers the rule's id. */
  holdCallsTo(path: string, approval?: Record<string, unknown>): Promise<string>
}

/** Starts vault and provider and joins them. */
export async function startVaultWithProvider(
  options: Parameters<typeof startVault>[0] = {},
): Promise<VaultWithProvider> {
  await using stack = new AsyncDisposableStack()
  const vault = stack.use(await startVault(options))
  const api = stack.use(await startRecordingApi())
  const { operator, appId, runtimeKey } = await openApp(vault)
  await operator.allowPrivateHosts(api.host)
  const token = `tok_${randomUUID()}`
  const secret = await operator.createSecret({
    name: 'Provider',
    credential_type: 'bearer',
    value: { token },
    allowed_hosts: [api.host],
  })
  if (secret.base_grant_id === null) throw new Error('the secret has no base grant')
  const agent = await operator.createAgent({ name: 'worker', scopes: { managed_secret_slugs: [secret.slug] } })
  if (agent.api_key === null) throw new Error('the agent was not new')
  const ofAgent = await operator.createGrant(secret.id, { principal: { type: 'agent', id: agent.id } })
  const client = { baseUrl: vault.baseUrl, runtime: { warn: () => undefined } }

  const owned = stack.move()
  return {
    vault,
    api,
    operator,
    appId,
    runtimeKey,
    token,
    secret,
    grantId: secret.base_grant_id,
    agent: { id: agent.id, apiKey: agent.api_key, grantId: ofAgent.id },
    app: (more = {}) => new App({ ...client, apiKey: runtimeKey, ...more }),
    worker: (more = {}) => new Agent({ ...client, apiKey: agent.api_key ?? '', ...more }),
    async holdCallsTo(path, approval = {}) {
      const rule = await operator.createRule({
        target: { type: 'app', id: appId },
        type: 'require_approval',
        name: `Calls to ${path} need approval`,
        body: { effect: 'require_approval', approval, when: { mode: 'proxy', path: { glob: path } } },
      })
      return rule.id
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
