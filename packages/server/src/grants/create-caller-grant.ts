import type { Grant, sdkCreateSecretGrant } from '@alter-vault/contracts'
import type Type from 'typebox'
import { VaultError } from '../kernel/vault-error.ts'
import { callerAuthor, type SdkCaller } from '../management/index.ts'
import type { NewGrant } from './create-grant.ts'
import { type Principal, principalKinds } from './principals.ts'
import { appOf, isAgent } from './sdk-caller.ts'

type CreateBody = Type.Static<typeof sdkCreateSecretGrant.body>
type CreateAnswer = Type.Static<typeof sdkCreateSecretGrant.success>

/**
 * Makes a grant for the app itself, or for the agent that an app key acts as (docs/spec/wire-protocol.md#life-of-a-grant). Refusals:
 * `app_key_required`, `agent_principal_requires_agent`, `jwt_validation_error`, `group_grants_unsupported`, and those of
 * `createGrant`.
 */
export const createCallerGrant =
  ({ createGrant }: { createGrant: (input: NewGrant) => Promise<Grant> }) =>
  async (caller: SdkCaller, managedSecretId: string, body: CreateBody): Promise<CreateAnswer> => {
    const principal = askedPrincipal(caller, body.principal)
    const grant = await createGrant({
      app: appOf(caller),
      author: callerAuthor(caller),
      managedSecretId,
      principal,
      label: body.principal.label,
      labelPointer: '/principal/label',
      credentialId: body.credential_id,
      policy: body.grant_policy,
    }).catch(refuseGoneAgent)
    return {
      grant_id: grant.id,
      principal_type: grant.principal.type,
      label: grant.label,
      created_at: grant.created_at,
      credential_id: grant.credential_id,
    }
  }

function askedPrincipal(caller: SdkCaller, principal: CreateBody['principal']): Principal {
  if (isAgent(caller) && !caller.impersonated) {
    throw new VaultError('app_key_required', { message: 'An agent does not widen what it reaches. Use an app key.' })
  }
  if (caller.agentId !== null && principal.type !== 'agent') {
    throw new VaultError('app_key_required', {
      message:
        'A call that acts as an agent makes grants for that agent only: expected "principal.type" to be "agent".',
    })
  }
  return principalKinds[principal.type].askedBy(caller)
}

/** The agent ended between authentication and the change: the answer is that of a call that names it now. */
function refuseGoneAgent(error: unknown): never {
  if (!(error instanceof VaultError) || error.code !== 'agent_not_found') throw error
  throw new VaultError('caller_agent_unresolved', { cause: error })
}
