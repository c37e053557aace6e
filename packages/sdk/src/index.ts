export { Agent, type AgentOptions, type TraceOptions } from './agent.ts'
export { App, type AppOptions } from './app.ts'
export type { AuditContext } from './audit-context.ts'
export type { CallOptions } from './call-options.ts'
export { CallerType } from './caller-type.ts'
export { type ClientOptions, VaultClient } from './client.ts'
export type { Constraints, RequestRule } from './constraints.ts'
export * from './generated/errors.ts'
export {
  AgentInfo,
  type AgentPrincipal,
  type AgentScopes,
  APICallAuditLog,
  ApprovalResult,
  ApprovalStatus,
  type ApprovalStatusValue,
  CreateGrantResult,
  GateStatus,
  type GrantItem,
  type GrantPolicyInput,
  type GroupPrincipal,
  ManagedSecretGrantItem,
  OAuthGrantItem,
  PendingApproval,
  PendingGate,
  type Principal,
  RetryErrorInfo,
  RetryInfo,
  RevokeGrantResult,
  ScopeCatalog,
  type ScopeResource,
  type SystemPrincipal,
  UnifiedGrantListResult,
  type UserPrincipal,
} from './generated/models.ts'
export type {
  CreateManagedSecretGrantOptions,
  ListGrantsOptions,
  RevokeGrantOptions,
} from './grant-calls.ts'
export { HttpMethod } from './http-method.ts'
export { isValidKey } from './key-format.ts'
export { Provider } from './provider.ts'
export type { ProviderResponse, RequestOptions } from './provider-call.ts'
export type { ApprovalStatusOptions, AwaitApprovalOptions, ProxyRequestOptions } from './proxy-call.ts'
export type { RateLimitSnapshot } from './rate-limit.ts'
export type { PathParams, QueryParams, QueryValue } from './request-target.ts'
export type { Runtime } from './runtime.ts'
export type { UserTokenGetter } from './session.ts'
export { SDK_VERSION } from './version.ts'
