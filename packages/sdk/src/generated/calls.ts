// Written by tools/generate-clients.ts from packages/contracts. Do not edit.

import { type Call } from '../call.ts'
import { FIELDS } from '../shape.ts'
import { APICallAuditLog, AgentInfo, ApprovalResult, ApprovalStatus, CreateGrantResult, PendingApproval, RevokeGrantResult, ScopeCatalog, TokenResponse, UnifiedGrantListResult, type GrantPolicyInput, type Principal } from './models.ts'

/** The agent that calls. */
export const showOwnAgent: Call<object, AgentInfo> = {
  method: 'GET',
  path: '/sdk/agents/me',
  answers: {
    200: AgentInfo,
  },
}

export type ReadApprovalStatusInput = {
  approvalId: string
  wait?: number
}
/** Read where a held request stands. */
export const readApprovalStatus: Call<ReadApprovalStatusInput, ApprovalStatus> = {
  method: 'GET',
  path: '/sdk/approvals/:approval_id',
  query: {
    wait: { type: 'integer', min: 0, max: 25, optional: true },
  },
  answers: {
    200: ApprovalStatus,
  },
}

export type ReadApprovalResultInput = {
  approvalId: string
}
/** Read the provider's answer to an approved request. */
export const readApprovalResult: Call<ReadApprovalResultInput, ApprovalResult> = {
  method: 'GET',
  path: '/sdk/approvals/:approval_id/result',
  answers: {
    200: ApprovalResult,
  },
}

/** The scopes that a key can hold. */
export const listScopes: Call<object, ScopeCatalog> = {
  method: 'GET',
  path: '/sdk/scopes',
  answers: {
    200: ScopeCatalog,
  },
}

export type ListGrantsInput = {
  /** Items per page; 100 unless said. */
  limit?: number
  offset?: number
  providerId?: string
  /** For example `active`, `revoked`, `expired`. */
  status?: string
  account?: string
  label?: string
  userToken?: string
}
/** List the grants that the caller reaches. */
export const listGrants: Call<ListGrantsInput, UnifiedGrantListResult> = {
  method: 'POST',
  path: '/sdk/grants/list',
  body: {
    limit: { type: 'integer', min: 1, max: 1000, optional: true, default: 100 },
    offset: { type: 'integer', min: 0, max: 9007199254740991, optional: true, default: 0 },
    provider_id: { type: 'string', min: 1, max: 255, optional: true },
    status: { type: 'string', min: 1, max: 40, optional: true },
    account: { type: 'string', min: 1, max: 320, optional: true },
    label: { type: 'string', min: 1, max: 255, optional: true },
    user_token: { type: 'string', min: 1, max: 8192, optional: true },
  },
  answers: {
    200: UnifiedGrantListResult,
  },
}

export type CreateSecretGrantInput = {
  managedSecretId: string
  /** Who a managed-secret grant is for. */
  principal: Principal
  /** Limits of a new grant, in seconds or as an ISO 8601 time. */
  grantPolicy?: GrantPolicyInput
  /** Which credential of the secret, when it holds several. */
  credentialId?: string
}
/** Let a principal use a managed secret. */
export const createSecretGrant: Call<CreateSecretGrantInput, CreateGrantResult> = {
  method: 'POST',
  path: '/sdk/managed-secrets/:managed_secret_id/grants',
  body: {
    principal: { oneOf: () => [{ fields: {
      type: { enum: ['user'] },
      user_token: { type: 'string', min: 1, max: 8192 },
      label: { type: 'string', min: 1, max: 255 },
    } }, { fields: {
      type: { enum: ['group'] },
      external_group_id: { type: 'string', min: 1, max: 255 },
      idp_id: { type: 'string', min: 1, max: 255 },
      label: { type: 'string', min: 1, max: 255 },
    } }, { fields: {
      type: { enum: ['system'] },
      label: { type: 'string', min: 1, max: 255, nullable: true, optional: true, default: null },
    } }, { fields: {
      type: { enum: ['agent'] },
      label: { type: 'string', min: 1, max: 255, nullable: true, optional: true, default: null },
    } }] },
    grant_policy: { oneOf: () => [{ fields: {
      expires_at: { type: 'string', max: 40, optional: true },
      max_ttl_seconds: { type: 'integer', min: 1, max: 2147483647, optional: true },
      default_ttl_seconds: { type: 'integer', min: 1, max: 2147483647, optional: true },
    } }], optional: true, default: {} },
    credential_id: { type: 'string', optional: true },
  },
  answers: {
    200: CreateGrantResult,
  },
}

/** Report a direct call made with a retrieved credential. */
export const reportApiCall: Call<APICallAuditLog, object> = {
  method: 'POST',
  path: '/sdk/oauth/audit/api-call',
  body: APICallAuditLog[FIELDS],
  answers: {},
}

export type RevokeGrantInput = {
  grantId: string
  /** For the audit log. */
  reason?: string
  userToken?: string
}
/** End a grant at once. */
export const revokeGrant: Call<RevokeGrantInput, RevokeGrantResult> = {
  method: 'POST',
  path: '/sdk/oauth/grants/:grant_id/revoke',
  body: {
    reason: { type: 'string', min: 1, max: 2000, optional: true },
    user_token: { type: 'string', min: 1, max: 8192, optional: true },
  },
  answers: {
    200: RevokeGrantResult,
  },
}

export type ProxyRequestInput = {
  method: string
  url: string
  grantId?: string
  providerId?: string
  account?: string
  label?: string
  userToken?: string
  appUserId?: string
  body?: unknown
  headers?: Readonly<Record<string, string>>
  queryParams?: Readonly<Record<string, unknown>>
  reason?: string
  dryRun?: boolean
}
/** Call a provider through the vault. */
export const proxyRequest: Call<ProxyRequestInput, ApprovalResult | PendingApproval> = {
  method: 'POST',
  path: '/sdk/proxy',
  body: {
    method: { type: 'string', min: 1, max: 32 },
    url: { type: 'string', min: 1 },
    grant_id: { type: 'string', optional: true },
    provider_id: { type: 'string', min: 1, max: 255, optional: true },
    account: { type: 'string', min: 1, max: 320, optional: true },
    label: { type: 'string', min: 1, max: 255, optional: true },
    user_token: { type: 'string', min: 1, max: 8192, optional: true },
    app_user_id: { type: 'string', optional: true },
    body: { optional: true },
    headers: { type: 'object', values: { type: 'string' }, optional: true },
    query_params: { type: 'object', optional: true },
    reason: { type: 'string', optional: true },
    dry_run: { type: 'boolean', optional: true },
  },
  answers: {
    200: ApprovalResult,
    202: PendingApproval,
  },
}

export type RetrieveTokenInput = {
  grantId?: string
  providerId?: string
  reason?: string
  request?: Readonly<Record<string, unknown>>
  userToken?: string
  appUserId?: string
  account?: string
  label?: string
}
/** Retrieve a credential for a direct call. */
export const retrieveToken: Call<RetrieveTokenInput, TokenResponse> = {
  method: 'POST',
  path: '/sdk/token',
  body: {
    grant_id: { type: 'string', optional: true },
    provider_id: { type: 'string', min: 1, max: 255, optional: true },
    reason: { type: 'string', optional: true },
    request: { type: 'object', optional: true },
    user_token: { type: 'string', min: 1, max: 8192, optional: true },
    app_user_id: { type: 'string', optional: true },
    account: { type: 'string', min: 1, max: 320, optional: true },
    label: { type: 'string', min: 1, max: 255, optional: true },
  },
  answers: {
    200: TokenResponse,
  },
}
