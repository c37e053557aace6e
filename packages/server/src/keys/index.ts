export { type AddressList, type AgentFacts, agentScopesAt, type KeyFacts } from './caller-facts.ts'
export { createKeys, type Keys, type KeysDeps } from './create-keys.ts'
export {
  type CallAttempt,
  createIdentifyCaller,
  createSettle,
  type Identified,
  type IdentifyCaller,
  type IdentifyOptions,
  type KnownCaller,
  sdkCallerOf,
} from './identify-caller.ts'
export { findKey, findKeyRoute, loadAgentForCall, loadKeyForAuthentication } from './key-store.ts'
export { type MintDeps, mintKeyOfAgent, type NewAgentKey, type NewKey } from './mint-key.ts'
export { revokeKeysOfAgent, revokeKeysOfApp } from './revoke-key.ts'
export { createKeyRoutes } from './routes.ts'
