import { agentMayUse, agentNotFound, findAgent, scopesInForce } from '../agents/index.ts'
import type { Tx } from '../db/database.ts'
import { invalidField, VaultError } from '../kernel/vault-error.ts'
import type { Caller } from '../management/index.ts'
import type { ReachingGrant } from './grant-store.ts'

/** Whom a grant is for. The app itself (`system`) has no id. */
export type Principal = { type: 'user' | 'group' | 'system' | 'agent'; id: string | null }

/** One kind of principal, and everything that differs between them. */
type PrincipalKind = {
  /** Whose grants a caller uses when it names a provider; null: none of this kind. */
  heldBy(caller: Caller): Principal | null
  /** The principal that an operator names. Throws `validation_failed`, pointers into the request. */
  namedBy(id: string | undefined): Principal
  /** The principal of a grant that an SDK caller asks for. Throws why it cannot be had. */
  askedBy(caller: Caller): Principal
  /** Holds the principal until a grant for it is stored. Throws when it has ended. */
  lock(tx: Tx, appId: string, id: string | null): Promise<void>
  /** In words, for those who look after a secret. */
  reachableBy(grant: ReachingGrant): string
  /** Whether a live grant can be used now. */
  isEffective(grant: ReachingGrant, nowMs: number): boolean
}

const SYSTEM: Principal = { type: 'system', id: null }

const system: PrincipalKind = {
  heldBy: (caller) => (caller.agentId === null && caller.keyType !== 'ak' ? SYSTEM : null),
  namedBy(id) {
    if (id === undefined) return SYSTEM
    const message = 'A "system" principal is the app itself and has no "id".'
    throw invalidField('/principal/id', message, 'not_allowed_value')
  },
  askedBy: () => SYSTEM,
  lock: async () => undefined,
  reachableBy: ({ label }) =>
    label === null
      ? 'App keys, by the grant id or by the slug.'
      : `App keys, by the grant id or by the slug with the label "${label}".`,
  isEffective: () => true,
}

const agent: PrincipalKind = {
  heldBy: (caller) => (caller.agentId === null ? null : { type: 'agent', id: caller.agentId }),
  namedBy(id) {
    if (id !== undefined) return { type: 'agent', id }
    throw invalidField('/principal/id', '"principal.id" is missing; expected the id of the agent.', 'required')
  },
  askedBy(caller) {
    if (caller.agentId !== null) return { type: 'agent', id: caller.agentId }
    throw new VaultError('agent_principal_requires_agent', {
      message: 'A grant for an agent is made while acting as it: send its id in "X-Alter-Caller".',
    })
  },
  async lock(tx, appId, id) {
    const row = id === null ? undefined : await findAgent(tx, appId, id, { lock: true })
    if (row === undefined || row.status === 'revoked') throw agentNotFound()
  },
  reachableBy: ({ agent_name: name }) =>
    `The agent "${name}" only, with its own keys or through an app key that acts as it.`,
  /** An agent reaches what its scopes in force name, while it is not suspended. */
  isEffective(grant, nowMs) {
    const { scopes } = scopesInForce(grant.agent_scopes, nowMs)
    const target = { kind: grant.grant_kind, providerId: grant.provider_id }
    return grant.agent_status === 'active' && agentMayUse(scopes, target)
  },
}

/** No app has an identity provider that could vouch for a user. */
const user: PrincipalKind = {
  heldBy: () => null,
  namedBy() {
    const message = 'This app has no identity provider, so it knows no users: expected "system" or "agent".'
    throw invalidField('/principal/type', message, 'not_allowed_value')
  },
  askedBy() {
    throw userTokenRefused('Nothing was done.')
  },
  lock: async () => undefined,
  reachableBy: () => 'The user, when the call carries their identity.',
  isEffective: () => true,
}

function refuseGroup(): never {
  throw new VaultError('group_grants_unsupported')
}

const group: PrincipalKind = {
  heldBy: () => null,
  namedBy: refuseGroup,
  askedBy: refuseGroup,
  lock: async () => undefined,
  reachableBy: () => 'The live members of the group, when the call carries their identity.',
  isEffective: () => true,
}

export const principalKinds: { readonly [type in Principal['type']]: PrincipalKind } = { system, agent, user, group }

const kinds = Object.values(principalKinds)

/** Whose grants a caller uses when it names a provider. A key of agent type that belongs to no agent holds none. */
export function principalOf(caller: Caller): Principal | null {
  for (const kind of kinds) {
    const principal = kind.heldBy(caller)
    if (principal !== null) return principal
  }
  return null
}

/** An app key names any grant by its id; an agent its own only. */
export function mayNameGrantOf(principal: Principal, caller: Caller): boolean {
  if (caller.agentId === null) return true
  const own = principalOf(caller)
  return own !== null && own.type === principal.type && own.id === principal.id
}

/** The row of the versions that changes with each grant of a principal that appears or ends. */
export const principalSubject = ({ type, id }: Principal): string => `principal:${type}:${id ?? ''}`

export const userTokenRefused = (outcome: string): VaultError =>
  new VaultError('jwt_validation_error', {
    message: `"user_token" cannot be verified: this app has no identity provider. ${outcome}`,
  })
