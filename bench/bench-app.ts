import { randomBytes } from 'node:crypto'
import type { App, ManagedSecret, MintedKey, Rule } from '@alter-vault/contracts'
import { benchRules } from './bench-rules.ts'
import type { MeasuredVault } from './measured-vault.ts'
import type { LoadOrder } from './signed-load.ts'

/** An app with twenty rules, keys that may call often, and a grant on a credential of the upstream's. */
export type BenchApp = {
  appId: string
  organizationId: string
  keys: string[]
  keyIds: string[]
  grantIds: string[]
  secretId: string
}

const ORGANIZATION_RPM = 100_000_000
const KEY_RPM = 100_000
const KEYS = 16
const GRANTS = 10

export async function prepareBenchApp(
  vault: Pick<MeasuredVault, 'port' | 'dev' | 'asOwner'>,
  upstreamPort: number,
): Promise<BenchApp> {
  const { dev } = vault
  const organizationId = dev.organization_id
  await vault.asOwner(async (owner) => {
    await owner.query("select set_config('vault.organization', $1, false)", [organizationId])
    await owner.query(
      `update organizations set settings = settings || jsonb_build_object('rate_limit_rpm', $2::int) where organization_id = $1`,
      [organizationId, ORGANIZATION_RPM],
    )
  })

  async function ask<T>(method: string, path: string, body: unknown): Promise<T> {
    const response = await fetch(`http://127.0.0.1:${vault.port}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${dev.pat}`, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
    if (!response.ok) throw new Error(`${method} ${path} was refused with ${response.status}: ${await response.text()}`)
    return (await response.json()) as T
  }

  const host = `127.0.0.1:${upstreamPort}`
  const app = await ask<App>('POST', '/apps', {
    name: `Bench ${randomBytes(4).toString('hex')}`,
    settings: { allowed_private_hosts: [host] },
  })
  const inApp = `/apps/${app.id}`
  const secret = await ask<ManagedSecret & { base_grant_id: string }>('POST', `${inApp}/managed-secrets`, {
    name: 'Payments',
    credential_type: 'bearer',
    value: { token: `tok_${randomBytes(24).toString('base64url')}` },
    allowed_hosts: [host],
  })
  const grantIds = [secret.base_grant_id]
  while (grantIds.length < GRANTS) {
    const grant = await ask<{ id: string }>('POST', `${inApp}/managed-secrets/${secret.id}/grants`, {
      principal: { type: 'system' },
      label: `bench-${grantIds.length}`,
    })
    grantIds.push(grant.id)
  }
  const minted: MintedKey[] = []
  while (minted.length < KEYS) {
    const key = await ask<MintedKey>('POST', `${inApp}/keys`, {
      name: `Bench ${minted.length}`,
      scopes: ['proxy:execute', 'tokens:retrieve'],
      rate_limit_rpm: KEY_RPM,
    })
    minted.push(key)
  }
  for (const rule of benchRules('127.0.0.1')) {
    await ask<Rule>('POST', `${inApp}/rules`, { ...rule, target: { type: 'app', id: app.id } })
  }
  return {
    appId: app.id,
    organizationId,
    keys: minted.map((key) => key.api_key!),
    keyIds: minted.map((key) => key.id),
    grantIds,
    secretId: secret.id,
  }
}

/** `count` signed requests for each connection, over the app's keys and grants in turn. */
export function signedRequests(
  { keys, grantIds }: BenchApp,
  { kind, upstreamPort, count }: { kind: 'proxy' | 'token'; upstreamPort: number; count: number },
): LoadOrder['requests'] {
  const call = kind === 'proxy' ? { method: 'GET', url: `http://127.0.0.1:${upstreamPort}/v1/payments` } : {}
  const bodies = grantIds.map((id) => JSON.stringify({ ...call, grant_id: id, reason: 'List payments' }))
  return { kind: 'signed', path: `/sdk/${kind}`, keys, bodies, count }
}
