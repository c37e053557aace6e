/** Grants as the vault lists, creates and revokes them. */
import {
  anyText,
  bool,
  type Form,
  integer,
  isObject,
  jsonObject,
  listOf,
  oneOf,
  readFields,
  someText,
  textList,
} from './read-fields.ts'
import { type FromWire, type OnWire, toWire } from './wire-names.ts'

/** A user, identified by a token of the app's identity provider. */
export type UserPrincipal = { type: 'user'; userToken: string; label: string }
/** A group of the app's identity provider. */
export type GroupPrincipal = { type: 'group'; externalGroupId: string; idpId: string; label: string }
/** The app itself. */
export type SystemPrincipal = { type: 'system'; label?: string }
/** The agent that the call acts as: give the `App` that agent's id as `caller`. */
export type AgentPrincipal = { type: 'agent'; label?: string }
/** Who a managed-secret grant is for. */
export type Principal = UserPrincipal | GroupPrincipal | SystemPrincipal | AgentPrincipal

/** Limits of a new grant, in seconds or as an ISO 8601 time. */
export type GrantPolicyInput = { expiresAt?: string; maxTtlSeconds?: number; defaultTtlSeconds?: number }

const BARE_HTTPS_HOST = /^https:\/\/[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/
const API_BASE_URL_MAX_LENGTH = 270

function readApiBaseUrl(value: unknown): string | null {
  const usable = typeof value === 'string' && value.length <= API_BASE_URL_MAX_LENGTH && BARE_HTTPS_HOST.test(value)
  return usable ? value : null
}

/** A connection of a user, or of the app, to an OAuth provider. */
export class OAuthGrantItem {
  readonly grantKind: 'oauth'
  readonly grantId: string
  readonly providerId: string
  /** Open set; `active`, `revoked` and `expired` are known. */
  readonly status: string
  readonly createdAt: string
  readonly principalType: 'user' | 'system' | 'agent'
  readonly scopes: readonly string[]
  readonly accountIdentifier: string | null
  readonly accountDisplayName: string | null
  /** Where calls go, as a bare `https://host`; `null` when the provider has no single host. */
  readonly apiBaseUrl: string | null
  readonly label: string | null
  readonly credentialId: string | null
  /** The connection lacks scopes that the app now asks for. */
  readonly scopeMismatch: boolean
  readonly needsReconnect: boolean
  readonly delegatedAgentIds: readonly string[]
  readonly accessVia: 'ownership' | 'oauth_delegation'
  /** As stored: its keys are not translated. */
  readonly grantPolicy: Readonly<Record<string, unknown>> | null
  /** When the access token ends. */
  readonly expiresAt: string | null
  /** When the grant itself ends. */
  readonly grantExpiresAt: string | null
  readonly lastUsedAt: string | null
  readonly delegatedAt: string | null
  readonly parentGrantId: string | null
  /** How many hands it went through; 0 for the grant a user gave. */
  readonly depth: number
  readonly delegable: boolean
  readonly scopeConstraint: readonly string[] | null

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(fields: FromWire<OAuthGrantItem>) {
    const read = readFields('an OAuth grant', fields)
    this.grantKind = read.required('grantKind', oneOf('oauth'))
    this.grantId = read.required('grantId', someText)
    this.providerId = read.required('providerId', someText)
    this.status = read.required('status', someText)
    this.createdAt = read.required('createdAt', someText)
    this.principalType = read.required('principalType', oneOf('user', 'system', 'agent'))
    this.scopes = read.defaulted('scopes', textList, [])
    this.accountIdentifier = read.optional('accountIdentifier', anyText)
    this.accountDisplayName = read.optional('accountDisplayName', anyText)
    this.apiBaseUrl = readApiBaseUrl(read.raw('apiBaseUrl'))
    this.label = read.optional('label', anyText)
    this.credentialId = read.optional('credentialId', anyText)
    this.scopeMismatch = read.defaulted('scopeMismatch', bool, false)
    this.needsReconnect = read.defaulted('needsReconnect', bool, false)
    this.delegatedAgentIds = read.defaulted('delegatedAgentIds', textList, [])
    this.accessVia = read.defaulted('accessVia', oneOf('ownership', 'oauth_delegation'), 'ownership')
    this.grantPolicy = read.optional('grantPolicy', jsonObject)
    this.expiresAt = read.optional('expiresAt', anyText)
    this.grantExpiresAt = read.optional('grantExpiresAt', anyText)
    this.lastUsedAt = read.optional('lastUsedAt', anyText)
    this.delegatedAt = read.optional('delegatedAt', anyText)
    this.parentGrantId = read.optional('parentGrantId', anyText)
    this.depth = read.defaulted('depth', integer, 0)
    this.delegable = read.defaulted('delegable', bool, false)
    this.scopeConstraint = read.optional('scopeConstraint', textList)
  }

  toJSON(): OnWire<OAuthGrantItem> {
    return toWire(this) as OnWire<OAuthGrantItem>
  }
}

/** Access to a secret that an operator keeps in the vault. */
export class ManagedSecretGrantItem {
  readonly grantKind: 'managed_secret'
  readonly grantId: string
  readonly managedSecretId: string
  readonly managedSecretSlug: string
  readonly managedSecretName: string
  /** Open set; `active`, `revoked` and `expired` are known. */
  readonly status: string
  readonly createdAt: string
  readonly principalType: 'user' | 'group' | 'system' | 'agent'
  readonly agentId: string | null
  readonly credentialId: string | null
  readonly credentialKind: 'developer' | 'end_user' | null
  readonly credentialLabel: string | null
  readonly accountIdentifier: string | null
  readonly label: string | null
  readonly accessVia: 'ownership' | 'ms_delegation'
  /** As stored: its keys are not translated. */
  readonly grantPolicy: Readonly<Record<string, unknown>> | null
  readonly expiresAt: string | null
  /** When the grant itself ends. */
  readonly grantExpiresAt: string | null
  readonly lastUsedAt: string | null
  readonly delegatedAt: string | null
  readonly parentGrantId: string | null
  /** How many hands it went through. */
  readonly depth: number
  readonly delegable: boolean
  readonly scopeConstraint: readonly string[] | null

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(fields: FromWire<ManagedSecretGrantItem>) {
    const read = readFields('a managed-secret grant', fields)
    this.grantKind = read.required('grantKind', oneOf('managed_secret'))
    this.grantId = read.required('grantId', someText)
    this.managedSecretId = read.required('managedSecretId', someText)
    this.managedSecretSlug = read.required('managedSecretSlug', anyText)
    this.managedSecretName = read.required('managedSecretName', anyText)
    this.status = read.required('status', someText)
    this.createdAt = read.required('createdAt', someText)
    this.principalType = read.required('principalType', oneOf('user', 'group', 'system', 'agent'))
    this.agentId = read.optional('agentId', anyText)
    this.credentialId = read.optional('credentialId', anyText)
    this.credentialKind = oneOf('developer', 'end_user').read(read.raw('credentialKind')) ?? null
    this.credentialLabel = read.optional('credentialLabel', anyText)
    this.accountIdentifier = read.optional('accountIdentifier', anyText)
    this.label = read.optional('label', anyText)
    this.accessVia = read.defaulted('accessVia', oneOf('ownership', 'ms_delegation'), 'ownership')
    this.grantPolicy = read.optional('grantPolicy', jsonObject)
    this.expiresAt = read.optional('expiresAt', anyText)
    this.grantExpiresAt = read.optional('grantExpiresAt', anyText)
    this.lastUsedAt = read.optional('lastUsedAt', anyText)
    this.delegatedAt = read.optional('delegatedAt', anyText)
    this.parentGrantId = read.optional('parentGrantId', anyText)
    this.depth = read.defaulted('depth', integer, 0)
    this.delegable = read.defaulted('delegable', bool, false)
    this.scopeConstraint = read.optional('scopeConstraint', textList)
  }

  toJSON(): OnWire<ManagedSecretGrantItem> {
    return toWire(this) as OnWire<ManagedSecretGrantItem>
  }
}

/** Either kind; branch on `grantKind`. */
export type GrantItem = OAuthGrantItem | ManagedSecretGrantItem

const grantItem: Form<GrantItem> = {
  expects: 'an OAuth or managed-secret grant',
  read: (value) => {
    if (value instanceof OAuthGrantItem || value instanceof ManagedSecretGrantItem) return value
    if (!isObject(value)) return undefined
    if (value.grant_kind === 'oauth') return new OAuthGrantItem(value as FromWire<OAuthGrantItem>)
    if (value.grant_kind === 'managed_secret')
      return new ManagedSecretGrantItem(value as FromWire<ManagedSecretGrantItem>)
    return undefined
  },
}

/** One page of `listGrants()`. */
export class UnifiedGrantListResult {
  readonly grants: readonly GrantItem[]
  /** Of all pages. */
  readonly total: number
  readonly limit: number
  readonly offset: number
  readonly hasMore: boolean

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(fields: FromWire<UnifiedGrantListResult>) {
    const read = readFields('a list of grants', fields)
    this.grants = read.required('grants', listOf(grantItem))
    this.total = read.required('total', integer)
    this.limit = read.required('limit', integer)
    this.offset = read.required('offset', integer)
    this.hasMore = read.required('hasMore', bool)
  }

  toJSON(): OnWire<UnifiedGrantListResult> {
    return toWire(this) as OnWire<UnifiedGrantListResult>
  }
}

/** Answer of `createManagedSecretGrant()`. */
export class CreateGrantResult {
  readonly grantId: string
  readonly principalType: string
  readonly label: string | null
  readonly createdAt: string
  readonly credentialId: string | null

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(fields: FromWire<CreateGrantResult>) {
    const read = readFields('a created grant', fields)
    this.grantId = read.required('grantId', someText)
    this.principalType = read.required('principalType', someText)
    this.label = read.nullable('label', anyText)
    this.createdAt = read.required('createdAt', someText)
    this.credentialId = read.optional('credentialId', anyText)
  }

  toJSON(): OnWire<CreateGrantResult> {
    return toWire(this) as OnWire<CreateGrantResult>
  }
}

/** Answer of `revokeGrant()`. */
export class RevokeGrantResult {
  readonly success: boolean
  readonly message: string
  readonly grantId: string
  readonly revokedAt: string

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(fields: FromWire<RevokeGrantResult>) {
    const read = readFields('a revoked grant', fields)
    this.success = read.required('success', bool)
    this.message = read.required('message', someText)
    this.grantId = read.required('grantId', someText)
    this.revokedAt = read.required('revokedAt', someText)
  }

  toJSON(): OnWire<RevokeGrantResult> {
    return toWire(this) as OnWire<RevokeGrantResult>
  }
}
