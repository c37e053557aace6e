import { randomBytes } from 'node:crypto'
import { chmod, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { App, CreatedAgent, Grant, ManagedSecret, MintedKey } from '@alter-vault/contracts'
import type { Config } from '../../packages/server/src/config.ts'
import { Secret } from '../../packages/server/src/crypto/secret.ts'
import type { RunningServer } from '../../packages/server/src/run-server.ts'
import { startPaymentsApi } from './payments-api.ts'

/** What a person who tries the vault needs at hand; written to `dev.json`, readable by the owner only. */
export type DevFile = {
  base_url: string
  organization_id: string
  app_id: string
  pat: string
  runtime_key: string
  agent_key: string
  agent_id: string
  demo_api: { url: string }
  grants: { payments_system: string; payments_agent: string }
  managed_secret_id: string
}

/** What must outlive a restart besides: the payments API keeps its address and token. */
type Remembered = DevFile & { demo_port: number; demo_token: string }

const RUNTIME_SCOPES = [
  'tokens:retrieve',
  'proxy:execute',
  'approvals:read',
  'audit:emit',
  'spans:emit',
  'grants:write',
  'secrets:write',
  'agents:read',
  'keys:derive',
  'providers:read',
]
/** Any refund waits for a person; one above 1,000 euros is refused whoever asks. */
const REFUND = { method: 'POST', path: '/v1/refunds' }

/**
 * Starts the payments API beside a server in development and, on a new data folder, makes the organization that calls it: an app with a
 * runtime key, an agent with its key, a managed secret with a grant for each of them, and two rules. Writes `dev.json` (mode 0600) in
 * the data folder. What is answered is the server with the payments API: closing it closes both.
 */
export async function withDemonstration(
  config: Config,
  server: RunningServer,
): Promise<RunningServer & { dev: DevFile }> {
  const { dataDir } = config.database
  if (dataDir === undefined) throw new Error('the demonstration needs a data folder')
  const rememberedFile = join(dataDir, 'demonstration.json')
  const remembered = await readJson<Remembered>(rememberedFile)
  const token = new Secret(remembered?.demo_token ?? `demo_${randomBytes(24).toString('base64url')}`)
  const api = await startPaymentsApi({ token, port: remembered?.demo_port ?? 0 })
  await using opened = new AsyncDisposableStack()
  opened.defer(api.close)
  const port = Number(new URL(api.url).port)
  const made = remembered ?? { ...(await seed(server, api.url, token)), demo_port: port, demo_token: token.reveal() }
  const { demo_port: _, demo_token: __, ...dev } = { ...made, base_url: server.address, demo_api: { url: api.url } }
  await writePrivate(rememberedFile, made)
  await writePrivate(join(dataDir, 'dev.json'), dev)
  // Calls in flight still need the payments API while the server drains.
  opened.defer(server.close)
  const owned = opened.move()
  return {
    ...server,
    dev,
    announcement: demonstrationLines(dev, join(dataDir, 'dev.json')),
    close: () => owned.disposeAsync(),
  }
}

async function seed(server: RunningServer, apiUrl: string, token: Secret): Promise<DevFile> {
  const founded = await server.foundOrganization({
    name: 'Demonstration',
    ownerEmail: 'owner@example.com',
    tokenExpiresInDays: 365,
  })
  const pat = founded.token.reveal()
  async function make<T>(path: string, body: unknown): Promise<T> {
    const response = await fetch(`${server.address}/api/v1/apps${path}`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${pat}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
    if (!response.ok) throw new Error(`POST ${path} answered ${response.status}: ${await response.text()}`)
    return (await response.json()) as T
  }
  const { host } = new URL(apiUrl)
  const app = await make<App>('', {
    name: 'Support desk',
    description: 'The app of the demonstration: an assistant that answers customers and may ask for refunds.',
    settings: { allowed_private_hosts: [host] },
  })
  const runtime = await make<MintedKey>(`/${app.id}/keys`, { name: 'Backend', scopes: RUNTIME_SCOPES })
  const secret = await make<ManagedSecret & { base_grant_id: string | null }>(`/${app.id}/managed-secrets`, {
    name: 'Demo payments',
    credential_type: 'bearer',
    value: { token: token.reveal() },
    allowed_hosts: [host],
  })
  const agent = await make<CreatedAgent>(`/${app.id}/agents`, {
    name: 'support-bot',
    display_name: 'Support bot',
    scopes: { managed_secret_slugs: [secret.slug] },
  })
  const agentGrant = await make<Grant>(`/${app.id}/managed-secrets/${secret.id}/grants`, {
    principal: { type: 'agent', id: agent.id },
  })
  const target = { type: 'provider', id: secret.slug }
  await make(`/${app.id}/rules`, {
    target,
    type: 'require_approval',
    name: 'Refunds need approval',
    body: { effect: 'require_approval', approval: { quorum: 1, show_result: true }, when: REFUND },
  })
  await make(`/${app.id}/rules`, {
    target,
    type: 'json_match',
    name: 'No refund above 1,000 euros',
    body: { effect: 'deny', when: { ...REFUND, 'body:/amount': { gt: 100_000 } } },
  })
  return {
    base_url: server.address,
    organization_id: founded.organizationId,
    app_id: app.id,
    pat,
    runtime_key: shown(runtime.api_key),
    agent_key: shown(agent.api_key),
    agent_id: agent.id,
    demo_api: { url: apiUrl },
    grants: { payments_system: shown(secret.base_grant_id), payments_agent: agentGrant.id },
    managed_secret_id: secret.id,
  }
}

/** What an answer holds when the thing was made by this very call. */
function shown(value: string | null): string {
  if (value === null) throw new Error('The demonstration was made by somebody else at the same time.')
  return value
}

/** What to click and copy, one line each. */
function demonstrationLines(dev: DevFile, file: string): string[] {
  return [
    '',
    `  API description     ${dev.base_url}/docs/`,
    `  Payments API        ${dev.demo_api.url} (answers only with the credential that the vault holds)`,
    `  Keys and ids        ${file}`,
    '',
    '  See it work, in another terminal:   npm run demo',
    '  It makes an allowed, a denied and a held call, and prints the link on which you approve the held one.',
    '',
  ]
}

async function readJson<T>(path: string): Promise<T | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  return text === undefined ? undefined : (JSON.parse(text) as T)
}

/** Whole or not at all, and never readable by others. */
async function writePrivate(path: string, value: unknown): Promise<void> {
  const temporary = `${path}.new`
  await writeFile(temporary, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 })
  await chmod(temporary, 0o600)
  await rename(temporary, path)
}
