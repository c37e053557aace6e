import { type ApprovalPage, LINK_TOKEN_HEADER, type OpenApprovalPage } from '@alter-vault/contracts'
import { type RecordingProvider, startRecordingProvider } from './recording-provider.ts'
import { createTestServer, type Reply, type TestServer } from './test-server.ts'

type Call = { method?: string; path?: string } & Record<string, unknown>
type Page = ApprovalPage & { request: OpenApprovalPage['request'] }

/** Who attacks: an agent with a grant on a secret for a provider that remembers what it was asked. */
export type AttackDesk = AsyncDisposable & {
  server: TestServer
  provider: RecordingProvider
  secretId: string
  agentGrantId: string
  appGrantId: string
  /** A proxied call of the agent, or with another key. */
  call(call: Call, options?: { key?: string; headers?: Record<string, string>; clientIp?: string }): Promise<Reply>
  /** A management call in the app, on top of the newest version of what it names. */
  manage(method: string, path: string, body?: unknown): Promise<Reply>
  rule(type: string, body: unknown, more?: Record<string, unknown>): Promise<string>
  /** What the link in an answer opens. */
  page(held: Reply): Promise<Page>
  approve(held: Reply): Promise<Reply>
  /** The state of a held request once nothing happens to it any more. */
  outcome(held: Reply): Promise<{ status: string; execution_error: string | null }>
}

const SECRET = 'echo'

export async function createAttackDesk(): Promise<AttackDesk> {
  await using opened = new AsyncDisposableStack()
  const server = opened.use(await createTestServer())
  const provider = opened.use(await startRecordingProvider())
  const { dev } = server
  const host = `127.0.0.1:${provider.port}`
  const demoHost = new URL(dev.demo_api.url).host

  const manage = async (method: string, path: string, body?: unknown): Promise<Reply> => {
    const whole = `/api/v1/apps/${dev.app_id}${path}`
    const needsVersion = method === 'PATCH' || method === 'DELETE'
    const version = needsVersion ? (await server.operator('GET', whole)).headers.get('etag') : null
    return server.operator(method, whole, body, version === null ? {} : { 'if-match': version })
  }
  const done = (reply: Reply): Reply['body'] => {
    if (reply.status >= 300) throw new Error(`${reply.status}: ${reply.text}`)
    return reply.body
  }

  done(await manage('PATCH', '', { settings: { allowed_private_hosts: [demoHost, host] } }))
  const secret = done(
    await manage('POST', '/managed-secrets', {
      name: SECRET,
      credential_type: 'bearer',
      value: { token: 'a-token-of-the-desk-0001' },
      allowed_hosts: [host],
    }),
  )
  const slugs = ['demo-payments', secret.slug]
  done(await manage('PATCH', `/agents/${dev.agent_id}`, { scopes: { managed_secret_slugs: slugs } }))
  const grant = done(
    await manage('POST', `/managed-secrets/${secret.id}/grants`, { principal: { type: 'agent', id: dev.agent_id } }),
  )

  const link = (held: Reply) => {
    const url = new URL(held.body.approval_url)
    return {
      path: `${server.origin}/wallet/api/approvals/${url.pathname.split('/').at(-1)}`,
      token: new URLSearchParams(url.hash.slice(1)).get('t') ?? '',
    }
  }
  const page: AttackDesk['page'] = async (held) => {
    const { path, token } = link(held)
    return (await (await fetch(path, { headers: { [LINK_TOKEN_HEADER]: token } })).json()) as Page
  }

  const owned = opened.move()
  return {
    server,
    provider,
    secretId: secret.id,
    agentGrantId: grant.id,
    appGrantId: secret.base_grant_id,
    manage,
    call: ({ method = 'POST', path = '/v1/things', ...rest }, { key = dev.agent_key, headers, clientIp } = {}) =>
      server.sdk(key, {
        path: '/sdk/proxy',
        body: { method, url: `http://${host}${path}`, provider_id: secret.slug, reason: 'Because', ...rest },
        ...(headers === undefined ? {} : { headers }),
        ...(clientIp === undefined ? {} : { clientIp }),
      }),
    async rule(type, body, more = {}) {
      const target = { type: 'app', id: dev.app_id }
      return done(await manage('POST', '/rules', { target, type, name: `A ${type}`, body, ...more })).id
    },
    page,
    async approve(held) {
      const shown = await page(held)
      const { path, token } = link(held)
      const action_hash = 'action_hash' in shown ? shown.action_hash : '0'.repeat(64)
      const response = await fetch(`${path}/decide`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ decision: 'approve', link_token: token, action_hash }),
      })
      const text = await response.text()
      return { status: response.status, headers: response.headers, text, body: JSON.parse(text) }
    },
    async outcome(held) {
      for (let tries = 0; tries < 200; tries++) {
        const { body } = await manage('GET', `/approvals/${held.body.approval_id}`)
        if (!['pending', 'approved', 'executing'].includes(body.status)) return body
        await new Promise((resolve) => setTimeout(resolve, 25))
      }
      throw new Error('The held request came to no end.')
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
