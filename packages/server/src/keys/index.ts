import { type KeysDeps, keyUseCases } from './create-keys.ts'
import { createKeyRoutes } from './routes.ts'

export { type AgentFacts, agentScopesAt, type KeyFacts } from './caller-facts.ts'
export type { Keys, KeysDeps } from './create-keys.ts'
export {
  assertKeyAddress,
  assertKeyLive,
  type CallAttempt,
  createIdentifyCaller,
  createSettle,
  type Identified,
  type IdentifyCaller,
  type KnownCaller,
  sdkCallerOf,
} from './identify-caller.ts'
export { findKey, findKeyRoute, loadAgentForCall, loadKeyForAuthentication } from './key-store.ts'
export type { MintDeps, NewAgentKey, NewKey } from './mint-key.ts'
export { endKeysWith } from './revoke-key.ts'

/** The keys of apps and of their agents. */
export function createKeys(deps: KeysDeps) {
  const keys = keyUseCases(deps)
  return { ...keys, routes: createKeyRoutes({ keys }) }
}
