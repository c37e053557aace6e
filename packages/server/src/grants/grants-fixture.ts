import type { CredentialType, CredentialValue } from '../egress/credential-kind.ts'
import { newId } from '../kernel/ids.ts'
import { type AppRef, createEndings, type OnEnded, type SdkCaller } from '../management/index.ts'
import { createWriteRules, endRulesWith } from '../rules/index.ts'
import { createSecrets, endSecretsWith, type NewManagedSecret, openSealedCredential } from '../secrets/index.ts'
import type { ManagementTest } from '../testing/management.ts'
import { sdkCallerOf } from '../testing/sdk-caller.ts'
import { createGrants, endGrantsWith, grantsOfSecrets, type NewGrant } from './index.ts'

/** Text that must be found nowhere but inside an opened credential. */
export const PLAINTEXT = 'sk_live_Zq7mN4vX9cB2kL8wPt3R'

/** Secrets and grants as the composition root joins them, with approvals that are written down instead of ended. */
export function setUpGrants(t: ManagementTest) {
  const ended: { grantId: string; reason: string }[] = []
  const inFlight: string[] = []
  const waiting: OnEnded = async (_tx, _record, { type, id }, _by, { noteInFlight }) => {
    if (type !== 'grant') return
    ended.push({ grantId: id, reason: 'grant_revoked' })
    noteInFlight(inFlight)
  }
  const endings = createEndings([endSecretsWith, endGrantsWith, endRulesWith, waiting])
  const rules = createWriteRules({ ...t, targetExists: async () => true })
  const { keyring } = t
  const grants = createGrants({ ...t, endings, rules })
  const credentials = createSecrets({ ...t, endings, grants: grantsOfSecrets })

  const addSecret = (over: Partial<NewManagedSecret> = {}) =>
    credentials.createManagedSecret({
      app: t.app,
      author: t.owner,
      name: 'Stripe',
      credential_type: 'bearer',
      value: { token: PLAINTEXT },
      allowed_hosts: ['api.stripe.com'],
      ...over,
    })

  async function addAgent(
    over: { app?: AppRef; status?: string; scopes?: Record<string, string[]>; name?: string } = {},
  ): Promise<string> {
    const agentId = newId()
    await t.asOwner(
      `insert into agents (app_id, agent_id, name, type, status, scopes, created_by) values ($1, $2, $3, 'agent', $4, $5, '{}')`,
      [
        (over.app ?? t.app).appId,
        agentId,
        over.name ?? `agent-${agentId.slice(-6)}`,
        over.status ?? 'active',
        over.scopes ?? {},
      ],
    )
    return agentId
  }

  /** A second credential of a secret, which no endpoint makes yet. */
  async function addCredential(managedSecretId: string, label: string, kind = 'developer'): Promise<string> {
    const credentialId = newId()
    await t.asOwner(
      "insert into credentials (app_id, credential_id, source_kind, source_id, label, kind, sealed) values ($1, $2, 'managed_secret', $3, $4, $5, '\\x00')",
      [t.app.appId, credentialId, managedSecretId, label, kind],
    )
    return credentialId
  }

  const grantTo = (managedSecretId: string, over: Partial<NewGrant> = {}) =>
    grants.createGrant({ app: t.app, author: t.owner, managedSecretId, principal: { type: 'system' }, ...over })

  async function openCredential(credentialId: string, type: CredentialType, app = t.app): Promise<CredentialValue> {
    const [row] = await t.asOwner<{ sealed: Buffer }>('select sealed from credentials where credential_id = $1', [
      credentialId,
    ])
    return openSealedCredential(keyring, app.appId, credentialId, type, row!.sealed)
  }

  const caller = (over: Partial<SdkCaller> = {}): SdkCaller =>
    sdkCallerOf(t.app, { scopes: ['grants:write', 'secrets:write'], ...over })

  return {
    credentials,
    grants,
    rules,
    endings,
    keyring,
    ended,
    inFlight,
    addSecret,
    addAgent,
    addCredential,
    grantTo,
    openCredential,
    caller,
  }
}

/** The code of a refusal, with its message; throws when nothing was refused. */
export async function refusalOf(call: Promise<unknown>): Promise<[code: string, message: string]> {
  try {
    await call
  } catch (error) {
    const { code, message } = error as { code: string; message: string }
    return [code, message]
  }
  throw new Error('nothing was refused')
}
