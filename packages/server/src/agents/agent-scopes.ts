import { AGENT_SCOPES_MAX_BYTES, type AgentScopes } from '@alter-vault/contracts'
import { invalidField, VaultError } from '../kernel/vault-error.ts'

/*
 * A change carries the whole desired map (docs/spec/wire-protocol.md#callers-and-agents). What it adds holds after the organization's
 * widening delay, what it removes holds until the grace is over. One change waits at a time; a later one replaces it.
 *
 *   in force:  scopes ──────────── scopes_applies_at ──▶ scopes_pending
 */

const DEFAULT_GRACE_SECONDS = 86_400

/** What an agent row says of its scopes. */
export type StoredScopes = {
  scopes: AgentScopes
  scopesPending: AgentScopes | null
  scopesAppliesAt: Date | null
}

/** A waiting change that is due applies by itself: this is the row as it reads from `nowMs` on. */
export function scopesInForce(stored: StoredScopes, nowMs: number): StoredScopes {
  const { scopesPending, scopesAppliesAt } = stored
  if (scopesPending === null || scopesAppliesAt === null || scopesAppliesAt.getTime() > nowMs) return stored
  return { scopes: scopesPending, scopesPending: null, scopesAppliesAt: null }
}

/** The member of the map that names managed secrets; every other one is a provider id. */
const SECRET_SLUGS = 'managed_secret_slugs'

/** Whether a scope map names a target: the slug of a managed secret, or a provider with at least one scope. */
export function agentMayUse(
  scopes: Readonly<Record<string, readonly string[]>>,
  { kind, providerId }: { kind: 'oauth' | 'managed_secret'; providerId: string },
): boolean {
  if (kind === 'managed_secret') return scopes[SECRET_SLUGS]?.includes(providerId) ?? false
  return providerId !== SECRET_SLUGS && Object.hasOwn(scopes, providerId) && scopes[providerId]!.length > 0
}

/** The map without repeats. Refusal: `validation_failed` over 12 KiB of compact JSON. */
export function parseAgentScopes(scopes: AgentScopes, pointer = '/scopes'): AgentScopes {
  const parsed = Object.fromEntries(Object.entries(scopes).map(([provider, list]) => [provider, [...new Set(list)]]))
  const bytes = Buffer.byteLength(JSON.stringify(parsed))
  if (bytes > AGENT_SCOPES_MAX_BYTES) {
    throw invalidField(pointer, `"scopes" holds ${bytes} bytes; at most ${AGENT_SCOPES_MAX_BYTES}.`, 'too_long')
  }
  return parsed
}

export type ScopeChange = {
  /** In force now. */
  current: AgentScopes
  desired: AgentScopes
  nowMs: number
  /** How long what is removed goes on working; 24 hours when absent. */
  graceSeconds?: number | undefined
  wideningDelaySeconds: number
  /** Whether the author said which version they saw: a removal needs it. */
  knowsVersion: boolean
}

/**
 * What holds now, what waits and until when. Nothing is added before the widening delay and nothing is removed before the
 * grace: when both wait, the later time counts for both. Refusal: `agent_scope_narrowing_not_supported`.
 */
export function planScopeChange(change: ScopeChange): StoredScopes {
  const { current, desired, nowMs, graceSeconds = DEFAULT_GRACE_SECONDS, wideningDelaySeconds } = change
  const added = minus(desired, current)
  const removed = minus(current, desired)
  const adds = Object.keys(added).length > 0
  const removes = Object.keys(removed).length > 0
  if (removes && !change.knowsVersion) {
    throw new VaultError('agent_scope_narrowing_not_supported', {
      message: 'Removing scopes needs "expected_version": the version of the agent that you have seen.',
    })
  }
  let scopes = current
  if (adds && wideningDelaySeconds === 0) scopes = plus(scopes, added)
  if (removes && graceSeconds === 0) scopes = minus(scopes, removed)
  const addsLater = adds && wideningDelaySeconds > 0
  const removesLater = removes && graceSeconds > 0
  if (!addsLater && !removesLater) return { scopes, scopesPending: null, scopesAppliesAt: null }
  const waitSeconds = Math.max(addsLater ? wideningDelaySeconds : 0, removesLater ? graceSeconds : 0)
  return { scopes, scopesPending: desired, scopesAppliesAt: new Date(nowMs + waitSeconds * 1_000) }
}

function minus(from: AgentScopes, take: AgentScopes): AgentScopes {
  const left = Object.entries(from).map(([provider, list]) => {
    const taken = Object.hasOwn(take, provider) ? take[provider]! : []
    return [provider, list.filter((scope) => !taken.includes(scope))] as const
  })
  return Object.fromEntries(left.filter(([, list]) => list.length > 0))
}

function plus(to: AgentScopes, give: AgentScopes): AgentScopes {
  const sum: AgentScopes = { ...to }
  for (const [provider, list] of Object.entries(give)) {
    const present = Object.hasOwn(sum, provider) ? sum[provider]! : []
    sum[provider] = [...present, ...list.filter((scope) => !present.includes(scope))]
  }
  return sum
}
