export { Agent, type AgentOptions, type TraceOptions } from './agent.ts'
export { AgentInfo, type AgentScopes } from './agents.ts'
export { APICallAuditLog } from './api-call-audit.ts'
export { App, type AppOptions } from './app.ts'
export {
  ApprovalResult,
  ApprovalStatus,
  type ApprovalStatusValue,
  GateStatus,
  PendingApproval,
  PendingGate,
} from './approvals.ts'
export type { AuditContext } from './audit-context.ts'
export type { CallOptions } from './call-options.ts'
export { CallerType } from './caller-type.ts'
export { type ClientOptions, VaultClient } from './client.ts'
export type { Constraints, RequestRule } from './constraints.ts'
export * from './errors.ts'
export type {
  CreateManagedSecretGrantOptions,
  ListGrantsOptions,
  RevokeGrantOptions,
} from './grant-calls.ts'
export {
  type AgentPrincipal,
  CreateGrantResult,
  type GrantItem,
  type GrantPolicyInput,
  type GroupPrincipal,
  ManagedSecretGrantItem,
  OAuthGrantItem,
  type Principal,
  RevokeGrantResult,
  type SystemPrincipal,
  UnifiedGrantListResult,
  type UserPrincipal,
} from './grants.ts'
export { HttpMethod } from './http-method.ts'
export { isValidKey } from './key-format.ts'
export { Provider } from './provider.ts'
export type { ProviderResponse, RequestOptions } from './provider-call.ts'
export type { ApprovalStatusOptions, AwaitApprovalOptions, ProxyRequestOptions } from './proxy-call.ts'
export type { RateLimitSnapshot } from './rate-limit.ts'
export type { PathParams, QueryParams, QueryValue } from './request-target.ts'
export { RetryErrorInfo, RetryInfo } from './retry-info.ts'
export type { Runtime } from './runtime.ts'
export { ScopeCatalog, type ScopeResource } from './scopes.ts'
export type { UserTokenGetter } from './session.ts'
export { SDK_VERSION } from './version.ts'
