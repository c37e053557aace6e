import { type ManagementClient, managementClient } from './management-client.ts'

/** What an operator may take away while it is in use. */
export const REVOCABLE_KINDS = ['grant', 'key', 'rule', 'agent'] as const
export type RevocableKind = (typeof REVOCABLE_KINDS)[number]

export type RevocableTarget = {
  kind: RevocableKind
  /** Calls on this target, and only they, go to this path or below it. */
  path: string
  apiKey: string
  grantId: string
  /** Takes it away through one of the servers. */
  revoke(baseUrl: string): Promise<{ status: number }>
  /** How many calls were made on it. */
  calls: number
}

type Surroundings = {
  operator: ManagementClient
  pat: string
  runtimeKey: string
  secret: { id: string; slug: string; baseGrantId: string }
}

const PLENTY_RPM = 100_000

export function createRevocableTargets({ operator, pat, runtimeKey, secret }: Surroundings) {
  const { appId, inApp } = operator
  const at = (baseUrl: string) => managementClient({ baseUrl, pat, appId })
  const asking = (path: string, body: unknown) => (baseUrl: string) => at(baseUrl).ask('POST', `${inApp}${path}`, body)
  let made = 0

  return async function makeTarget(kind: RevocableKind): Promise<RevocableTarget> {
    const name = `${kind}-${made++}`
    const path = `/${kind}/${name}`
    const target = { kind, path, apiKey: runtimeKey, grantId: secret.baseGrantId, calls: 0 }
    switch (kind) {
      case 'grant': {
        const grant = await operator.createGrant(secret.id, { principal: { type: 'system' }, label: name })
        return { ...target, grantId: grant.id, revoke: asking(`/grants/${grant.id}/revoke`, { reason: 'storm' }) }
      }
      case 'key': {
        const key = await operator.mintKey({ name, scopes: ['proxy:execute'], rate_limit_rpm: PLENTY_RPM })
        return { ...target, apiKey: key.api_key ?? '', revoke: asking(`/keys/${key.id}/revoke`, { force: true }) }
      }
      case 'rule': {
        const rule = {
          target: { type: 'app', id: appId },
          type: 'json_match',
          name: `No calls to ${path}`,
          body: { effect: 'deny', when: { path: { glob: `${path}/**` } } },
        }
        return { ...target, revoke: asking('/rules', rule) }
      }
      case 'agent': {
        const agent = await operator.createAgent({ name, scopes: { managed_secret_slugs: [secret.slug] } })
        const grant = await operator.createGrant(secret.id, { principal: { type: 'agent', id: agent.id } })
        return {
          ...target,
          apiKey: agent.api_key ?? '',
          grantId: grant.id,
          async revoke(baseUrl) {
            await at(baseUrl).suspendAgent(agent.id)
            return { status: 200 }
          },
        }
      }
    }
  }
}
