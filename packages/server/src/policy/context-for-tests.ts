import type { StoredRule } from './compile-rules.ts'
import type { PolicyContext } from './policy-context.ts'
import { createPolicyRequest, type PolicyRequestParts } from './policy-context.ts'

/** A request for tests: a GET of `https://api.example.com/v1/items` unless said. A body given as text is JSON unless said. */
export function requestWith(
  parts: Partial<Omit<PolicyRequestParts, 'body'>> & { body?: PolicyRequestParts['body'] | string } = {},
): PolicyContext['request'] {
  const { body = null, ...others } = parts
  return createPolicyRequest({
    method: 'GET',
    scheme: 'https',
    host: 'api.example.com',
    port: 443,
    path: '/v1/items',
    query: '',
    headers: typeof body === 'string' ? [['Content-Type', 'application/json']] : [],
    ...others,
    body: typeof body === 'string' ? Buffer.from(body) : body,
  })
}

/** A context for tests: a proxied call of an app with a system grant, with the members of `different`. */
export function contextOf(different: Partial<PolicyContext> = {}): PolicyContext {
  return {
    mode: 'proxy',
    organizationId: 'organization-1',
    app: { id: 'app-1', environment: 'production' },
    provider: { id: 'example', kind: 'managed_secret' },
    key: { id: 'key-1', type: 'app', name: 'live' },
    caller: { name: null, type: null, actorId: null },
    agent: null,
    user: null,
    principal: { type: 'system', id: 'app-1' },
    grant: {
      id: '00000000-0000-4000-8000-0000000000a3',
      ancestorIds: [],
      kind: 'managed_secret',
      label: null,
      scopes: [],
      createdAtMs: Date.parse('2026-01-01T00:00:00Z'),
      consentedAtMs: null,
      lastUsedAtMs: null,
      expiresAtMs: null,
      delegated: false,
      depth: 0,
    },
    clientIp: '198.51.100.7',
    request: requestWith(),
    declared: null,
    asserted: {
      tool: null,
      framework: null,
      runId: null,
      threadId: null,
      parentAgent: null,
      extra: {},
      reason: null,
    },
    approval: null,
    ...different,
  }
}

let lastRule = 0

/** A stored rule for tests: enforced on the app of `contextOf`, with the members of `different`. Ids rise. */
export function ruleOf(type: string, body: unknown, different: Partial<StoredRule> = {}): StoredRule {
  lastRule++
  return {
    id: `00000000-0000-4000-8000-${String(lastRule).padStart(12, '0')}`,
    version: 3,
    target: { type: 'app', id: 'app-1' },
    type,
    name: `Rule ${lastRule}`,
    body,
    bodyVersion: 1,
    enabled: true,
    mode: 'enforce',
    expiresAtMs: null,
    managedBy: 'operator',
    ...different,
  }
}
