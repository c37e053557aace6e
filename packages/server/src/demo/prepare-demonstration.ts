import { randomBytes } from 'node:crypto'
import { chmod, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TOKEN_SCOPE_PREFIX, tokenScopes } from '@alter-vault/contracts'
import type { Agents } from '../agents/index.ts'
import type { Apps } from '../apps/index.ts'
import { Secret } from '../crypto/secret.ts'
import type { Grants } from '../grants/index.ts'
import type { Keys } from '../keys/index.ts'
import { systemAuthor, tokenSession } from '../management/index.ts'
import type { Members } from '../members/index.ts'
import type { WriteRules } from '../rules/index.ts'
import type { Secrets } from '../secrets/index.ts'
import type { Tokens } from '../tokens/index.ts'
import { type DemoApi, startDemoApi } from './demo-api.ts'

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

/** What must outlive a restart besides: the demonstration API keeps its address and token. */
type Remembered = DevFile & { demo_port: number; demo_token: string }

type Deps = {
  dataDir: string
  baseUrl: string
  apps: Pick<Apps, 'createApp'>
  members: Members
  tokens: Tokens
  keys: Pick<Keys, 'mintKey'>
  agents: Pick<Agents, 'createAgent'>
  credentials: Pick<Secrets, 'createManagedSecret'>
  grants: Pick<Grants, 'createGrant'>
  writeRules: Pick<WriteRules, 'createRule'>
}

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
 * Starts the demonstration API and, on a new data folder, makes the organization that calls it: an app with a runtime key, an agent with
 * its key, a managed secret with a grant for each of them, and two rules. Writes `dev.json` (mode 0600) in the data folder.
 */
export async function prepareDemonstration(deps: Deps): Promise<{ dev: DevFile; api: DemoApi }> {
  const rememberedFile = join(deps.dataDir, 'demonstration.json')
  const remembered = await readJson<Remembered>(rememberedFile)
  const token = new Secret(remembered?.demo_token ?? `demo_${randomBytes(24).toString('base64url')}`)
  const api = await startDemoApi({ token, port: remembered?.demo_port ?? 0 })
  const port = Number(new URL(api.url).port)
  const made = remembered ?? { ...(await seed(deps, api.url, token)), demo_port: port, demo_token: token.reveal() }
  const { demo_port: _, demo_token: __, ...dev } = { ...made, base_url: deps.baseUrl, demo_api: { url: api.url } }
  await writePrivate(rememberedFile, made)
  await writePrivate(join(deps.dataDir, 'dev.json'), dev)
  return { dev, api }
}

async function seed(deps: Deps, apiUrl: string, token: Secret): Promise<DevFile> {
  const { apps, members, tokens, keys, agents, credentials, grants, writeRules } = deps
  const author = {
    kind: 'member',
    role: 'owner',
    session: tokenSession,
    memberId: '',
    clientIp: '127.0.0.1',
    userAgent: null,
  } as const
  const { organization, ownerId } = await members.createOrganization({
    author: systemAuthor,
    name: 'Demonstration',
    owner: { email: 'owner@example.com', displayName: 'Owner' },
  })
  const owner = { ...author, memberId: ownerId }
  const { token: pat } = await tokens.mintPersonalAccessToken({
    author: owner,
    organizationId: organization.id,
    memberId: ownerId,
    name: 'Demonstration',
    scopes: tokenScopes.map((scope) => `${TOKEN_SCOPE_PREFIX}${scope}`),
    expiresInDays: 365,
  })
  const { host } = new URL(apiUrl)
  const app = await apps.createApp({
    author: owner,
    organizationId: organization.id,
    authorAppIds: null,
    name: 'Support desk',
    description: 'The app of the demonstration: an assistant that answers customers and may ask for refunds.',
    settings: { allowed_private_hosts: [host] },
  })
  const inApp = { appId: app.id, organizationId: organization.id }
  const runtime = await keys.mintKey({ app: inApp, author: owner, name: 'Backend', scopes: RUNTIME_SCOPES })
  const secret = await credentials.createManagedSecret({
    app: inApp,
    author: owner,
    name: 'Demo payments',
    credential_type: 'bearer',
    value: { token: token.reveal() },
    allowed_hosts: [host],
  })
  const agent = await agents.createAgent({
    app: inApp,
    author: owner,
    name: 'support-bot',
    display_name: 'Support bot',
    scopes: { managed_secret_slugs: [secret.slug] },
  })
  const agentGrant = await grants.createGrant({
    app: inApp,
    author: owner,
    managedSecretId: secret.id,
    principal: { type: 'agent', id: agent.id },
  })
  const home = { kind: 'app', ...inApp } as const
  const target = { type: 'provider', id: secret.slug }
  await writeRules.createRule({
    home,
    author: owner,
    target,
    type: 'require_approval',
    name: 'Refunds need approval',
    body: { effect: 'require_approval', approval: { quorum: 1, show_result: true }, when: REFUND },
  })
  await writeRules.createRule({
    home,
    author: owner,
    target,
    type: 'json_match',
    name: 'No refund above 1,000 euros',
    body: { effect: 'deny', when: { ...REFUND, 'body:/amount': { gt: 100_000 } } },
  })
  return {
    base_url: deps.baseUrl,
    organization_id: organization.id,
    app_id: app.id,
    pat: pat.reveal(),
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
export function demonstrationLines(dev: DevFile, file: string): string[] {
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
