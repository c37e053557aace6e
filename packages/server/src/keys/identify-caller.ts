import { hash } from 'node:crypto'
import {
  type ApiKeyNeeds,
  CONTEXT_MAX_LENGTH,
  CONTEXT_MAX_MEMBERS,
  parseKey,
  scopesImply,
} from '@alter-vault/contracts'
import type { AuditLog, Budget, MeterAnswer, Scope } from '../audit/index.ts'
import { appScope, organizationScope } from '../audit/index.ts'
import { deriveSigningKey, isSignatureOf } from '../crypto/signing-key.ts'
import type { Presented } from '../http/authenticators.ts'
import type { Clock } from '../kernel/clock.ts'
import type { HmacKey } from '../kernel/hmac.ts'
import { isUuid, newId } from '../kernel/ids.ts'
import {
  addVersion,
  isStale,
  joinVersions,
  type ReadVersions,
  readVersionsOf,
  type Stale,
} from '../kernel/read-versions.ts'
import { sha256 } from '../kernel/sha256.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { Caller, SdkCaller } from '../management/index.ts'
import type { AgentFacts, KeyFacts } from './caller-facts.ts'
import { hasActorLine, type SignedParts, stringToSign } from './string-to-sign.ts'

/** Who calls, or why not. `known` is what an audit row of the refusal can say; null: the key is unknown, so no row is written. */
export type Identified =
  | { kind: 'caller'; attempt: CallAttempt }
  | { kind: 'refused'; error: VaultError; known: KnownCaller | null }

/** One presented request: its caller, and what holds for this request only. */
export type CallAttempt = {
  caller: Caller
  /** Every version that was read for it so far. */
  readVersions: ReadVersions
  /** Settled with the write that the call makes. Null: nothing was presented, an approved request is executed. */
  nonce: { ts: number; digest: Buffer } | null
  /** The one-off rule as presented (`X-Alter-Request-Rule`), verified as part of the signature, not yet parsed. */
  requestRule: string | null
  answerHeaders: SdkCaller['answerHeaders']
}

/** The principal of an SDK call that uses no credential. */
export const sdkCallerOf = ({ caller, answerHeaders }: CallAttempt): SdkCaller =>
  ({ ...caller, answerHeaders }) as SdkCaller

/** What is known of a caller that was refused, and the versions that the refusal was decided on. */
export type KnownCaller = { caller: Caller; readVersions: ReadVersions }

export type IdentifyDeps = {
  clock: Clock
  keyDigest: (plainKey: string) => Buffer
  /** The key of a digest; cached with its versions, undefined when there is none. */
  findKey: (digest: Buffer) => Promise<KeyFacts | undefined>
  /** An agent of the app; undefined when there is none. */
  findAgent: (appId: string, agentId: string) => Promise<AgentFacts | undefined>
  /** The id of the actor row of this caller, made when first seen. */
  observeActor: (seen: {
    appId: string
    keyId: string
    caller: string
    callerType: string
    agentId: string | null
  }) => Promise<string>
  takeRate: (scope: Scope, budget: Budget) => Promise<MeterAnswer>
  /** Throws `invalid_request_rule` for a one-off rule that cannot be understood. */
  checkRequestRule: (header: string) => void
  /** A key that is not known: a metric and a log line, never an audit row. */
  noteUnknownKey: (clientIp: string) => void
}

const CLOCK_SKEW_SECONDS = 300
const CONTEXT_MAX_KEY_LENGTH = 64
const CONTEXT_MAX_VALUE_LENGTH = 512
const RATE_WINDOW_MS = 60_000
const MAX_SIGNING_KEYS = 20_000
const NOTHING_ASSERTED = {}

/**
 * Says who makes an SDK request: key state, signature, time, address, rate, caller agent, scopes, in the order of
 * docs/spec/wire-protocol.md#what-the-server-checks. The nonce is handed on: it is settled with the write that the call makes.
 */
export function createIdentifyCaller(deps: IdentifyDeps) {
  // Deriving a key costs as much as checking a signature with it; the derived key opens nothing without the plain one in each request.
  const signingKeys = new Map<string, HmacKey>()

  function signingKeyOf(digest: string, plainKey: string): HmacKey {
    let key = signingKeys.get(digest)
    if (!key) {
      key = deriveSigningKey(plainKey)
      signingKeys.set(digest, key)
      if (signingKeys.size > MAX_SIGNING_KEYS) signingKeys.delete(signingKeys.keys().next().value!)
    }
    return key
  }

  return async function identifyCaller(request: Presented, needs: ApiKeyNeeds): Promise<Identified> {
    const plainKey = single(request, 'x-api-key')
    const parsed = plainKey === undefined ? undefined : parseKey(plainKey)
    if (
      plainKey === undefined ||
      parsed === undefined ||
      (parsed.form === 'scoped' && !['rk', 'ak', 'dk'].includes(parsed.type))
    ) {
      deps.noteUnknownKey(request.clientIp)
      return refusedUnknown(plainKey === undefined ? 'The header "X-Api-Key" is missing.' : undefined)
    }
    const digest = deps.keyDigest(plainKey)
    const key = await deps.findKey(digest)
    if (key === undefined) {
      deps.noteUnknownKey(request.clientIp)
      return refusedUnknown()
    }

    const nowMs = deps.clock.now()
    const parts = signedParts(request)
    const readVersions = readVersionsOf(key.versions)
    const caller: { -readonly [member in keyof Caller]: Caller[member] } = {
      appId: key.appId,
      organizationId: key.organizationId,
      appEnvironment: key.appEnvironment,
      keyId: key.keyId,
      keyPrefix: key.keyPrefix,
      keyName: key.keyName,
      keyType: key.keyType,
      agentId: key.agent?.agentId ?? null,
      agent: key.agent,
      user: null,
      impersonated: false,
      caller: parts.caller ?? null,
      callerType: parts.callerType ?? null,
      actorId: null,
      context: NOTHING_ASSERTED,
      clientIp: request.clientIp,
      userAgent: single(request, 'user-agent')?.slice(0, 255) ?? null,
      traceId: traceIdOf(single(request, 'traceparent'), nowMs),
      scopes: [],
    }
    try {
      assertKeyLive(key, nowMs, needs.inactiveAgent === true)
      const rawBody = await request.readBody(key.keyId)
      assertSigned(rawBody, request, parts, signingKeyOf(digest.toString('latin1'), plainKey), nowMs)
      assertKeyAddress(key, request.clientIp)
      const scope = appScope(key.appId, key.organizationId)
      const rate = await assertRate(scope, 'api_key', `rpm:key:${key.keyId}`, key.rateLimitRpm)
      const ofOrganization = organizationScope(key.organizationId)
      await assertRate(ofOrganization, 'organization', 'rpm:organization', key.organizationRpm)
      const agent = await callerAgent(key, parts, readVersions)
      if (agent !== null) {
        caller.agent = agent
        caller.agentId = agent.agentId
        caller.impersonated = key.agent === null
        const limit = agent.rateLimitPerMinute
        if (limit) await assertRate(scope, 'agent', `rpm:agent:${agent.agentId}`, limit)
      }
      caller.scopes = effectiveScopes(key, parts)
      assertScopes(caller.scopes, needs)
      if (parts.requestRule !== undefined) deps.checkRequestRule(parts.requestRule)
      caller.context = parseContext(parts.context)
      caller.actorId = await actorOf(key, parts, agent)
      const attempt: CallAttempt = {
        caller,
        readVersions,
        nonce: { ts: Number(parts.timestamp), digest: nonceDigest(key.keyId, parts.nonce) },
        requestRule: parts.requestRule ?? null,
        answerHeaders: answerHeadersOf(caller.actorId, key, rate),
      }
      return { kind: 'caller', attempt }
    } catch (error) {
      if (error instanceof VaultError) return { kind: 'refused', error, known: { caller, readVersions } }
      throw error
    }
  }

  async function assertRate(scope: Scope, of: RateOf, counterId: string, limit: number): Promise<MeterAnswer> {
    const taken = await deps.takeRate(scope, { counterId, limit, windowMs: RATE_WINDOW_MS })
    if (!taken.ok) throw rateLimited(of, limit, taken.retryAfterSeconds)
    return taken
  }

  /** The agent that the call is made as (docs/spec/wire-protocol.md#callers-and-agents). */
  async function callerAgent(
    key: KeyFacts,
    parts: SignedParts,
    readVersions: ReadVersions,
  ): Promise<AgentFacts | null> {
    const named = parts.caller?.toLowerCase()
    if (named === undefined || !isUuid(named)) return key.agent
    if (key.agent !== null) {
      if (key.agent.agentId === named) return key.agent
      throw new VaultError('caller_agent_mismatch', {
        message: `"X-Alter-Caller" names the agent ${named}, but the key belongs to ${key.agent.agentId}.`,
      })
    }
    const agent = await deps.findAgent(key.appId, named).catch((cause: unknown) => {
      throw new VaultError('caller_agent_resolution_error', { retryAfterSeconds: 2, cause })
    })
    if (agent !== undefined) addVersion(readVersions, agent.version)
    if (agent === undefined || agent.status !== 'active') {
      throw new VaultError('caller_agent_unresolved', {
        message: `"X-Alter-Caller" names ${named}, which is no active agent of this app.`,
      })
    }
    return agent
  }

  async function actorOf(key: KeyFacts, parts: SignedParts, agent: AgentFacts | null): Promise<string | null> {
    if (!parts.caller || isUuid(parts.caller.toLowerCase())) return null
    return deps.observeActor({
      appId: key.appId,
      keyId: key.keyId,
      caller: parts.caller,
      callerType: parts.callerType ?? 'service',
      agentId: agent?.agentId ?? null,
    })
  }
}

export type IdentifyCaller = ReturnType<typeof createIdentifyCaller>

const refusedUnknown = (message?: string): Identified => ({
  kind: 'refused',
  error: new VaultError('invalid_key', message === undefined ? {} : { message }),
  known: null,
})

/** Refuses a key that has ended, in whatever way. */
export function assertKeyLive(key: KeyFacts, nowMs: number, mayBePaused: boolean): void {
  if (key.revoked || key.agent?.status === 'revoked') throw new VaultError('key_revoked')
  if (key.appStatus === 'deleted') throw new VaultError('key_revoked')
  if (key.appStatus !== 'live')
    throw new VaultError('key_not_active', { message: 'The app of this key is archived. Nothing was sent.' })
  if (key.graceUntilMs !== null && key.graceUntilMs <= nowMs) throw new VaultError('key_rotated_grace_expired')
  if (key.expiresAtMs !== null && key.expiresAtMs <= nowMs) throw new VaultError('key_expired')
  if (key.agent?.status === 'inactive' && !mayBePaused) throw new VaultError('agent_inactive')
}

/** Refuses an address that the key may not be used from. */
export function assertKeyAddress(key: KeyFacts, clientIp: string): void {
  if (key.addresses === null || key.addresses.contains(clientIp)) return
  throw new VaultError('ip_not_allowed', { message: `The key "${key.keyPrefix}…" may not be used from ${clientIp}.` })
}

function signedParts(request: Presented): SignedParts {
  return {
    method: request.method.toUpperCase(),
    target: request.target,
    timestamp: single(request, 'x-alter-timestamp') ?? '',
    nonce: single(request, 'x-alter-nonce') ?? '',
    contentSha256: single(request, 'x-alter-content-sha256') ?? '',
    scopeConstraints: single(request, 'x-alter-scope-constraints') ?? '',
    requestRule: single(request, 'x-alter-request-rule'),
    caller: single(request, 'x-alter-caller'),
    callerType: single(request, 'x-alter-caller-type'),
    actorId: single(request, 'x-alter-actor-id'),
    context: single(request, 'x-alter-context'),
  }
}

const TIMESTAMP = /^\d{1,12}$/
const NONCE = /^[0-9a-f]{32}$/
const HEX_SHA256 = /^[0-9a-f]{64}$/

function assertSigned(rawBody: Buffer, request: Presented, parts: SignedParts, key: HmacKey, nowMs: number): void {
  const signature = single(request, 'x-alter-signature') ?? ''
  const malformed = !TIMESTAMP.test(parts.timestamp)
    ? 'X-Alter-Timestamp'
    : !NONCE.test(parts.nonce)
      ? 'X-Alter-Nonce'
      : !HEX_SHA256.test(parts.contentSha256)
        ? 'X-Alter-Content-SHA256'
        : !HEX_SHA256.test(signature)
          ? 'X-Alter-Signature'
          : null
  if (malformed !== null) {
    throw new VaultError('signature_missing', {
      message: `The header "${malformed}" is missing or malformed.`,
      fields: { header: malformed },
    })
  }
  if (hash('sha256', rawBody) !== parts.contentSha256) {
    throw new VaultError('signature_invalid', {
      message: '"X-Alter-Content-SHA256" is not the hash of the body that came.',
    })
  }
  // A client that signed actor lines says so in a second header; without it they were added on the way.
  const second = single(request, 'x-alter-signature-v2')
  if ((hasActorLine(parts) && second === undefined) || (second !== undefined && second !== signature)) {
    throw new VaultError('signature_invalid', { message: 'The caller headers are not covered by the signature.' })
  }
  if (!isSignatureOf(key, stringToSign(parts), signature)) throw new VaultError('signature_invalid')
  const skewSeconds = Math.abs(Math.floor(nowMs / 1000) - Number(parts.timestamp))
  if (skewSeconds > CLOCK_SKEW_SECONDS) {
    throw new VaultError('timestamp_out_of_range', {
      message: `"X-Alter-Timestamp" is ${skewSeconds} s away from the server's clock; at most ${CLOCK_SKEW_SECONDS} s are allowed.`,
    })
  }
}

/** The key's scopes, or the narrower list that the request asks to be held to. */
function effectiveScopes(key: KeyFacts, parts: SignedParts): readonly string[] {
  if (parts.scopeConstraints === '') return key.scopes
  const asked = parts.scopeConstraints.split(',').map((scope) => scope.trim())
  const wider = asked.filter((scope) => !scopesImply(key.scopes, scope))
  if (wider.length > 0) {
    throw new VaultError('constraint_not_narrowing', {
      message: `"X-Alter-Scope-Constraints" asks for ${wider.map((scope) => `"${scope.slice(0, 80)}"`).join(', ')}, which the key does not hold.`,
    })
  }
  return asked
}

function assertScopes(
  scopes: readonly string[],
  { scopes: required, anyOf = false, instances = false }: ApiKeyNeeds,
): void {
  const missing = required.filter(
    (scope) => !scopesImply(scopes, scope) && !(instances && scopes.some((held) => held.startsWith(`${scope}:`))),
  )
  if (missing.length === 0 || (anyOf && missing.length < required.length)) return
  throw new VaultError('insufficient_scope', {
    message: `The key lacks ${missing.map((scope) => `"${scope}"`).join(anyOf ? ' or ' : ', ')}.`,
    fields: {
      required: [...required],
      granted: [...scopes],
      missing,
      required_any_of: anyOf,
      scope_version: 1,
      current_scope_version: 1,
      scope_version_mismatch: false,
      documentation_url: null,
    },
  })
}

function parseContext(header: string | undefined): Readonly<Record<string, string>> {
  if (header === undefined || header === '') return NOTHING_ASSERTED
  const invalid = (message: string) => new VaultError('invalid_context', { message })
  if (header.length > CONTEXT_MAX_LENGTH)
    throw invalid(`"X-Alter-Context" holds ${header.length} characters; at most ${CONTEXT_MAX_LENGTH} are kept.`)
  let value: unknown
  try {
    value = JSON.parse(header)
  } catch {
    throw invalid('"X-Alter-Context" is not JSON.')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('"X-Alter-Context" must be an object of texts.')
  const entries = Object.entries(value)
  if (entries.length > CONTEXT_MAX_MEMBERS)
    throw invalid(`"X-Alter-Context" has ${entries.length} members; at most ${CONTEXT_MAX_MEMBERS} are kept.`)
  for (const [name, text] of entries) {
    if (name.length > CONTEXT_MAX_KEY_LENGTH)
      throw invalid(`A name in "X-Alter-Context" is longer than ${CONTEXT_MAX_KEY_LENGTH} characters.`)
    if (typeof text !== 'string' || text.length > CONTEXT_MAX_VALUE_LENGTH) {
      throw invalid(`"${name}" in "X-Alter-Context" must be a text of at most ${CONTEXT_MAX_VALUE_LENGTH} characters.`)
    }
  }
  return value as Record<string, string>
}

/** 16 bytes that stand for one nonce of one key. */
const nonceDigest = (keyId: string, nonce: string): Buffer => sha256(`${keyId}\n${nonce}`).subarray(0, 16)

const TRACEPARENT = /^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/

/** The W3C trace id of the caller, else a new one. New ones are in the order of time, so that they stand side by side in an index. */
function traceIdOf(traceparent: string | undefined, nowMs: number): string {
  const sent = traceparent === undefined ? undefined : TRACEPARENT.exec(traceparent)?.[1]
  return sent !== undefined && !/^0+$/.test(sent) ? sent : newId(nowMs).replaceAll('-', '')
}

function single(request: Presented, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

type RateOf = 'api_key' | 'organization' | 'agent'

const rateLimited = (scope: RateOf, limit: number, retryAfterSeconds: number): VaultError =>
  new VaultError('rate_limit_exceeded', {
    message: `More than ${limit} requests a minute (${scope === 'api_key' ? 'this key' : `this ${scope}`}). Nothing was sent.`,
    retryAfterSeconds,
    fields: { scope, limit, window_seconds: 60 },
  })

function answerHeadersOf(actorId: string | null, key: KeyFacts, rate: MeterAnswer): Record<string, string> {
  return {
    ...(actorId === null ? {} : { 'X-Alter-Actor-ID': actorId }),
    ...(key.deprecated || key.graceUntilMs !== null ? { 'X-Alter-Key-Deprecated': 'true' } : {}),
    ...(rate.ok
      ? {
          'X-RateLimit-Limit': String(key.rateLimitRpm),
          'X-RateLimit-Remaining': String(rate.remaining),
          'X-RateLimit-Reset': String(rate.resetSeconds),
        }
      : {}),
  }
}

/**
 * Makes sure that what a call was let in or refused on still holds, for calls that make no other write. Settles the nonce of one that
 * was let in. Throws `nonce_replayed`.
 */
export function createSettle(audit: Pick<AuditLog, 'append'>) {
  return async (call: KnownCaller & Partial<Pick<CallAttempt, 'nonce'>>): Promise<{ kind: 'settled' } | Stale> => {
    const versions = joinVersions(call.readVersions)
    if (isStale(versions)) return versions
    const scope = appScope(call.caller.appId, call.caller.organizationId)
    const result = await audit.append(scope, { rows: [], fences: versions, nonce: call.nonce ?? null })
    if (result.kind === 'nonce_replayed') throw new VaultError('nonce_replayed')
    return result.kind === 'stale' ? result : { kind: 'settled' }
  }
}
