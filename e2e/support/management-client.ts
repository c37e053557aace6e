import type {
  Agent,
  App,
  AuditEvent,
  CreatedAgent,
  CreateRule,
  Grant,
  Key,
  ManagedApproval,
  ManagedSecret,
  MintedKey,
  Rule,
} from '@alter-vault/contracts'

/** An answer as it came, whatever its status. */
export type Answer = { status: number; headers: Headers; text: string; body: unknown }

type NewSecret = {
  name: string
  credential_type: 'bearer' | 'api_key' | 'basic' | 'aws_sigv4' | 'custom'
  value: Record<string, unknown>
  allowed_hosts: string[]
  injection?: Record<string, unknown>
  proxy_only?: boolean
  no_base_grant?: boolean
  credential_label?: string
}
type NewGrant = {
  principal: { type: 'system' } | { type: 'agent'; id: string }
  label?: string
  credential_id?: string
  grant_policy?: Record<string, unknown>
}
type NewRule = Omit<CreateRule, 'name'> & { name?: string }

/** The management API of one app, called with an operator's token. Every method but `ask` throws when it is refused. */
export function managementClient({ baseUrl, pat, appId }: { baseUrl: string; pat: string; appId: string }) {
  const inApp = `/api/v1/apps/${appId}`

  async function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(`${baseUrl}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${pat}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch {
      parsed = text
    }
    return { status: response.status, headers: response.headers, text, body: parsed } satisfies Answer
  }

  async function must<T>(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<T> {
    const answer = await ask(method, path, body, headers)
    if (answer.status >= 400) throw new Error(`${method} ${path} was refused with ${answer.status}: ${answer.text}`)
    return answer.body as T
  }

  /** Changes an object on top of its newest version. */
  async function change<T>(method: string, path: string, body: unknown, readPath = path): Promise<T> {
    const current = await ask('GET', readPath)
    const version = current.headers.get('etag')
    if (version === null) throw new Error(`GET ${readPath} sent no ETag: ${current.status} ${current.text}`)
    return must<T>(method, path, body, { 'If-Match': version })
  }

  /** All pages of a list. */
  async function all<T>(path: string, filters: Record<string, string>): Promise<T[]> {
    const found: T[] = []
    const query = new URLSearchParams({ ...filters, limit: '200' })
    for (;;) {
      const page = await must<{ items: T[]; next_cursor: string | null }>('GET', `${path}?${query}`)
      found.push(...page.items)
      if (page.next_cursor === null) return found
      query.set('cursor', page.next_cursor)
    }
  }

  return {
    ask,
    appId,
    inApp,
    app: () => must<App>('GET', inApp),
    updateApp: (body: Record<string, unknown>) => change<App>('PATCH', inApp, body),
    archiveApp: () => change<App>('POST', `${inApp}/archive`, undefined, inApp),
    unarchiveApp: () => change<App>('POST', `${inApp}/unarchive`, undefined, inApp),

    /** Lets the app dial further private hosts, beside those it may dial already. */
    async allowPrivateHosts(...hosts: string[]): Promise<void> {
      const { settings } = await must<App>('GET', inApp)
      const all = [...new Set([...settings.allowed_private_hosts, ...hosts])]
      await change('PATCH', inApp, { settings: { allowed_private_hosts: all } })
    },

    createSecret: (secret: NewSecret) =>
      must<ManagedSecret & { base_grant_id: string | null }>('POST', `${inApp}/managed-secrets`, secret),
    rotateSecret: (id: string, value: unknown) =>
      change<ManagedSecret>(
        'POST',
        `${inApp}/managed-secrets/${id}/rotate`,
        { value },
        `${inApp}/managed-secrets/${id}`,
      ),
    createGrant: (secretId: string, grant: NewGrant) =>
      must<Grant>('POST', `${inApp}/managed-secrets/${secretId}/grants`, grant),
    revokeGrant: (id: string, reason = 'no longer needed') =>
      must<Grant>('POST', `${inApp}/grants/${id}/revoke`, { reason }),

    createRule: (rule: NewRule) => must<Rule>('POST', `${inApp}/rules`, { name: 'A rule of a test', ...rule }),
    deleteRule: (id: string) => change<unknown>('DELETE', `${inApp}/rules/${id}`, undefined),

    mintKey: (body: Record<string, unknown>) => must<MintedKey>('POST', `${inApp}/keys`, body),
    rotateKey: (id: string, graceSeconds: number) =>
      must<MintedKey>('POST', `${inApp}/keys/${id}/rotate`, { grace_seconds: graceSeconds }),
    revokeKey: (id: string) => must<Key>('POST', `${inApp}/keys/${id}/revoke`, { force: true }),

    createAgent: (body: Record<string, unknown>) => must<CreatedAgent>('POST', `${inApp}/agents`, body),
    updateAgent: (id: string, body: Record<string, unknown>) => change<Agent>('PATCH', `${inApp}/agents/${id}`, body),
    suspendAgent: (id: string) =>
      change<Agent>('POST', `${inApp}/agents/${id}/suspend`, undefined, `${inApp}/agents/${id}`),

    approval: (id: string) => must<ManagedApproval>('GET', `${inApp}/approvals/${id}`),
    cancelApproval: (id: string) => must<ManagedApproval>('POST', `${inApp}/approvals/${id}/cancel`),

    /** Every row that the filters find, newest first. */
    auditEvents: (filters: Record<string, string> = {}) => all<AuditEvent>(`${inApp}/audit/events`, filters),
    checkIntegrity: () =>
      must<{ status: string; rows_checked: number; checkpoints_checked: number; first_error: unknown }>(
        'POST',
        `${inApp}/audit/integrity-checks`,
      ),
  }
}

export type ManagementClient = ReturnType<typeof managementClient>

const SCOPES = [
  'tokens:retrieve',
  'proxy:execute',
  'approvals:read',
  'audit:emit',
  'grants:write',
  'secrets:write',
  'agents:read',
  'keys:derive',
]

/** A new app without any rule, and a key that may do what a back end does. */
export async function openApp(
  { baseUrl, dev: { pat } }: { baseUrl: string; dev: { pat: string } },
  name = 'Test app',
): Promise<{ operator: ManagementClient; appId: string; runtimeKey: string }> {
  const response = await fetch(`${baseUrl}/api/v1/apps`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${pat}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ name }),
  })
  if (response.status !== 201) throw new Error(`No app was made: ${response.status} ${await response.text()}`)
  const { id: appId } = (await response.json()) as App
  const operator = managementClient({ baseUrl, pat, appId })
  const { api_key: runtimeKey } = await operator.mintKey({ name: 'Backend', scopes: SCOPES })
  if (runtimeKey === null) throw new Error('the key was not new')
  return { operator, appId, runtimeKey }
}
