import { hash } from 'node:crypto'
import { formatKey, KEY_RANDOM_LENGTH } from '@alter-vault/contracts'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { AppendMember, AppendResult, RowDraft } from '../audit/index.ts'
import { createAddressGuard } from '../egress/address-guard.ts'
import { createAwsClockSkew } from '../egress/aws-clock-skew.ts'
import { credentialKinds, parseCredentialValue } from '../egress/credential-kinds.ts'
import { DEFAULT_INJECTION } from '../egress/injection.ts'
import { openSendWindow } from '../egress/send-window.ts'
import { createUpstream, type Upstream } from '../egress/upstream.ts'
import { UpstreamError } from '../egress/upstream-error.ts'
import { noFaults } from '../kernel/faults.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type AgentFacts, createIdentifyCaller, type KeyFacts } from '../keys/index.ts'
import { compileRules, type StoredRule } from '../policy/compile-rules.ts'
import { ruleOf } from '../policy/context-for-tests.ts'
import { grantFactsOf } from '../testing/grant-facts.ts'
import { createHandClock, type HandClock } from '../testing/management.ts'
import { type RecordingProvider, startRecordingProvider } from '../testing/recording-provider.ts'
import { signedPresented } from '../testing/signed-presented.ts'
import type { AppPolicy } from './app-policy.ts'
import type { GrantFacts } from './grant-facts.ts'
import type { Incoming } from './presented-use.ts'
import { createProxyUse, type HoldRequest } from './proxy-use.ts'
import { createRecordOutcome } from './record-outcome.ts'
import { createResolveGrant } from './resolve-grant.ts'
import { createRunUse } from './run-use.ts'
import { createSendCall } from './send-call.ts'

/*
 * Every collaborator of the hot path fails in every way: it refuses, it throws what nobody expected, it never answers, it answers
 * nonsense. Up to the moment of sending, nothing may reach the provider; after it, no answer may be given that is not recorded.
 */

const appId = newId()
const organizationId = newId()
const grantId = newId()
const agentId = newId()
const PLAIN_KEY = formatKey('rk', 'a'.repeat(KEY_RANDOM_LENGTH))
const ALLOW_PROXY = ['proxy:execute']

let provider: RecordingProvider
let upstream: Upstream
let clock: HandClock

beforeAll(async () => {
  provider = await startRecordingProvider()
})
afterAll(async () => {
  await upstream?.close()
  await provider[Symbol.asyncDispose]()
})
beforeEach(async () => {
  provider.requests.length = 0
  await upstream?.close()
  clock = createHandClock()
  upstream = createUpstream({ clock })
})

const host = () => `127.0.0.1:${provider.port}`

const agent: AgentFacts = {
  agentId,
  name: 'worker',
  type: 'agent',
  status: 'active',
  scopes: { managed_secret_slugs: ['payments'] },
  scopesPending: null,
  scopesAppliesAtMs: null,
  rateLimitPerMinute: 600,
  version: { subject: `agent:${agentId}`, version: 1 },
}

const key: KeyFacts = {
  appId,
  organizationId,
  appEnvironment: 'production',
  appStatus: 'live',
  organizationRpm: 6_000,
  keyId: newId(),
  keyPrefix: 'alter_key_rk_aaaa',
  keyName: 'Backend',
  keyType: 'rk',
  scopes: ALLOW_PROXY,
  addresses: null,
  rateLimitRpm: 6_000,
  expiresAtMs: null,
  revoked: false,
  deprecated: false,
  graceUntilMs: null,
  agent: null,
  versions: [{ subject: 'epoch', version: 1 }],
}

const grant = (): GrantFacts => grantFactsOf(host(), { grantId, principal: { type: 'agent', id: agentId } })

const openBearer = (token: string) =>
  credentialKinds.bearer.open(parseCredentialValue('bearer', { token }), DEFAULT_INJECTION, {
    awsClockSkew: createAwsClockSkew({ clock }),
  })

const rule = (type: string, body: object): StoredRule => ruleOf(type, body, { target: { type: 'app', id: appId } })

const policyWith = (...rules: StoredRule[]): AppPolicy => ({
  appId,
  appStatus: 'live',
  appEnvironment: 'production',
  rules: compileRules(rules),
  approvalDefaults: { channels: [], requireReason: false },
  allowedPrivateHosts: new Set([host()]),
  captureBodies: true,
  epoch: { subject: 'epoch', version: 1 },
})

const stored = (member: AppendMember): AppendResult => ({
  kind: 'stored',
  events: member.rows.map(() => ({ eventId: newId(), occurredAt: '' })),
  window: openSendWindow(clock),
})

/** Everything that the hot path asks, in working order. */
function workingParts() {
  return {
    keyDigest: (plain: string) => hash('sha256', plain, 'buffer'),
    findKey: async (): Promise<KeyFacts | undefined> => key,
    findAgent: async (): Promise<AgentFacts | undefined> => agent,
    takeRate: async () => ({ ok: true as const, remaining: 1, resetSeconds: 1 }),
    findGrant: async (): Promise<GrantFacts | undefined> => grant(),
    appPolicy: async () => policyWith(),
    lastUsedAtMs: async (): Promise<number | null> => null,
    takeSlice: async () => ({ ok: true as const, remaining: 1, resetSeconds: 1 }),
    appendIntent: async (member: AppendMember) => stored(member),
    appendOutcome: async (member: AppendMember): Promise<AppendResult> => stored(member),
    guard: createAddressGuard({ resolve: async () => [] }).guard,
    openCredential: async () => openBearer('tok_plain'),
    send: (request: Parameters<Upstream['send']>[0]) => upstream.send(request),
    hold: async (_: HoldRequest): Promise<never> => {
      throw new VaultError('too_many_pending_approvals')
    },
  }
}

type Parts = ReturnType<typeof workingParts>

/** The hot path over these parts, and the rows that it made durable. */
function hotPath(broken: Partial<Record<keyof Parts, unknown>>) {
  const parts = { ...workingParts(), ...broken } as Parts
  const rows: RowDraft[] = []
  const audit = {
    clockBehindMs: () => 0,
    async append(_: unknown, member: AppendMember) {
      const isOutcome = member.rows.some((row) => row.intentId != null)
      const result = await (isOutcome ? parts.appendOutcome(member) : parts.appendIntent(member))
      if (result?.kind === 'stored') rows.push(...member.rows)
      return result
    },
  }
  const runUse = createRunUse({
    clock,
    audit,
    appPolicy: () => parts.appPolicy(),
    meter: { take: () => parts.takeSlice() },
    usableCredentials: {},
    forget: () => undefined,
    faults: noFaults,
  })
  const proxyUse = createProxyUse({
    clock,
    audit,
    identify: createIdentifyCaller({
      clock,
      keyDigest: (plain) => parts.keyDigest(plain),
      findKey: () => parts.findKey(),
      findAgent: () => parts.findAgent(),
      observeActor: async () => newId(),
      takeRate: () => parts.takeRate(),
      checkRequestRule: () => undefined,
      noteUnknownKey: () => undefined,
    }),
    resolveGrant: createResolveGrant({
      findGrant: () => parts.findGrant(),
      findCandidates: () => Promise.reject(new Error('not asked here')),
    }),
    lastUsedAtMs: () => parts.lastUsedAtMs(),
    noteUse: () => undefined,
    sendCall: createSendCall({
      guard: (...asked) => parts.guard(...asked),
      upstream: { send: (request) => parts.send(request) },
      openCredential: () => parts.openCredential(),
      faults: noFaults,
      maxResponseBytes: 1_000,
    }),
    recordOutcome: createRecordOutcome({ audit, clock }).recordOutcome,
    hold: (request) => parts.hold(request),
  })
  return { rows, call: () => runUse(proxyUse, signedCall()) }
}

/** One use as agent, through the app's key. */
function signedCall(): Incoming<CallBody> {
  const body = { grant_id: grantId, method: 'POST', url: `http://${host()}/charges`, body: { amount: 1 } }
  const presented = signedPresented({ apiKey: PLAIN_KEY, path: '/sdk/proxy', body, clock, caller: agentId })
  return {
    presented,
    body: () => body,
    room: { take: () => true, release: () => undefined },
    onCaller: () => undefined,
  }
}

type CallBody = { grant_id: string; method: string; url: string; body: unknown }

const refuses =
  (code: 'service_unavailable' | 'audit_unavailable' | 'blocked_destination' | 'credential_revoked') => () =>
    Promise.reject(new VaultError(code))
const breaks = () => Promise.reject(new TypeError('nobody expected this'))
const answers = (value: unknown) => async () => value
const hangs = () => new Promise<never>(() => undefined)

/** What the caller is told: a code of the registry, or `fault` for what becomes `internal_error`. */
const codeOf = (error: unknown): string => (error instanceof VaultError ? error.code : 'fault')

const slow = { kind: 'stored', events: [], window: { isOpen: () => false, remainingMs: () => 0 } }
const stale = { kind: 'stale', subjects: ['epoch'] }
const rateRule = () => rule('rate_limit', { limit: 1_000, window_seconds: 60 })

it('calls the provider once when everything works', async () => {
  const { call, rows } = hotPath({})
  expect(await call()).toMatchObject({ kind: 'answered', result: { status_code: 200 } })
  expect(provider.requests.map(({ authorization }) => authorization)).toEqual(['Bearer tok_plain'])
  expect(rows.map(({ event }) => event)).toEqual(['proxy.requested', 'proxy.executed'])
})

describe('before the intent', () => {
  it.each<[keyof Parts, string, unknown, string]>([
    [
      'keyDigest',
      'throws',
      () => {
        throw new TypeError('no pepper')
      },
      'fault',
    ],
    ['findKey', 'cannot reach the store', refuses('service_unavailable'), 'service_unavailable'],
    ['findKey', 'throws', breaks, 'fault'],
    ['findKey', 'finds nothing', answers(undefined), 'invalid_key'],
    ['findKey', 'answers nonsense', answers({ versions: [] }), 'key_not_active'],
    ['takeRate', 'cannot reach the store', refuses('audit_unavailable'), 'audit_unavailable'],
    ['takeRate', 'throws', breaks, 'fault'],
    ['takeRate', 'answers nonsense', answers({}), 'rate_limit_exceeded'],
    ['findAgent', 'cannot reach the store', refuses('service_unavailable'), 'caller_agent_resolution_error'],
    ['findAgent', 'throws', breaks, 'caller_agent_resolution_error'],
    ['findAgent', 'finds nothing', answers(undefined), 'caller_agent_unresolved'],
    [
      'findAgent',
      'answers nonsense',
      answers({ version: { subject: 'agent', version: 1 } }),
      'caller_agent_unresolved',
    ],
    ['findGrant', 'cannot reach the store', refuses('service_unavailable'), 'service_unavailable'],
    ['findGrant', 'throws', breaks, 'fault'],
    ['findGrant', 'finds nothing', answers(undefined), 'grant_not_found'],
    ['findGrant', 'answers nonsense', answers({ versions: [], principal: {} }), 'grant_not_found'],
    ['appPolicy', 'cannot reach the store', refuses('service_unavailable'), 'policy_unavailable'],
    ['appPolicy', 'throws', breaks, 'policy_unavailable'],
    ['appPolicy', 'answers nothing', answers(undefined), 'fault'],
    ['appPolicy', 'answers no rules', answers({ epoch: { subject: 'epoch', version: 1 } }), 'fault'],
    ['lastUsedAtMs', 'cannot reach the store', refuses('service_unavailable'), 'service_unavailable'],
    ['lastUsedAtMs', 'throws', breaks, 'fault'],
    ['appendIntent', 'cannot reach the store', refuses('audit_unavailable'), 'audit_unavailable'],
    ['appendIntent', 'throws', breaks, 'fault'],
    ['appendIntent', 'answers nonsense', answers({}), 'internal_error'],
    ['appendIntent', 'answers nothing', answers(undefined), 'fault'],
    ['appendIntent', 'finds the facts moved each time', answers(stale), 'policy_version_drift'],
    ['appendIntent', 'finds the nonce used', answers({ kind: 'nonce_replayed' }), 'nonce_replayed'],
  ])('%s %s: nothing is sent', async (part, _, broken, code) => {
    const { call, rows } = hotPath({ [part]: broken })
    expect(codeOf(await call().catch((error: unknown) => error))).toBe(code)
    expect(provider.requests).toEqual([])
    expect(rows.filter(({ event }) => event === 'proxy.requested')).toEqual([])
  })

  it.each<[string, unknown, string]>([
    ['cannot reach the store', refuses('audit_unavailable'), 'audit_unavailable'],
    ['throws', breaks, 'fault'],
    ['answers nonsense', answers({}), 'fault'],
  ])('the meter of a rule %s: nothing is sent', async (_, broken, code) => {
    const { call } = hotPath({ appPolicy: answers(policyWith(rateRule())), takeSlice: broken })
    expect(codeOf(await call().catch((error: unknown) => error))).toBe(code)
    expect(provider.requests).toEqual([])
  })

  it.each<[string, () => StoredRule, string]>([
    [
      'holds a rule that cannot be read',
      () => rule('json_match', { when: {}, effect: 'deny', unless: {} }),
      'invalid_stored_rule',
    ],
    ['holds a rule of a kind that is not known', () => rule('astrology', {}), 'invalid_stored_rule'],
    [
      'holds an expression that fails',
      () => rule('cel', { expression: 'request.body.amount.missing > 1', effect: 'deny' }),
      'cel_failed',
    ],
  ])('the policy %s: nothing is sent', async (_, broken, code) => {
    const { call } = hotPath({ appPolicy: answers(policyWith(broken())) })
    expect(codeOf(await call().catch((error: unknown) => error))).toBe(code)
    expect(provider.requests).toEqual([])
  })

  it('an approval cannot be asked for: nothing is sent', async () => {
    const held = policyWith(rule('require_approval', { effect: 'require_approval', approval: {}, when: {} }))
    for (const [hold, code] of [
      [workingParts().hold, 'too_many_pending_approvals'],
      [refuses('service_unavailable'), 'service_unavailable'],
      [breaks, 'fault'],
    ] as const) {
      const { call } = hotPath({ appPolicy: answers(held), hold })
      expect(codeOf(await call().catch((error: unknown) => error))).toBe(code)
    }
    expect(provider.requests).toEqual([])
  })
})

describe('between intent and send', () => {
  it.each<[keyof Parts, string, unknown, string]>([
    ['appendIntent', 'took too long', answers(slow), 'service_unavailable'],
    ['guard', 'refuses', refuses('blocked_destination'), 'blocked_destination'],
    ['guard', 'throws', breaks, 'internal_error'],
    ['openCredential', 'refuses', refuses('credential_revoked'), 'credential_revoked'],
    ['openCredential', 'throws', breaks, 'internal_error'],
    ['openCredential', 'answers nonsense', answers({}), 'internal_error'],
  ])('%s %s: nothing is sent, and the log says so', async (part, _, broken, code) => {
    const { call, rows } = hotPath({ [part]: broken })
    const error = await call().catch((thrown: unknown) => thrown)
    expect(codeOf(error)).toBe(code)
    expect(provider.requests).toEqual([])
    if (part === 'appendIntent') return
    expect(rows.map(({ event }) => event)).toEqual(['proxy.requested', 'proxy.refused'])
    expect(rows[1]).toMatchObject({ outcome: 'refused', primaryReason: code, intentId: rows[0]?.eventId })
  })
})

describe('once it may have been sent', () => {
  it('was handed over to nowhere, the guard having answered nonsense: nothing is sent, but nobody can be sure', async () => {
    const { call, rows } = hotPath({ guard: answers(undefined) })
    const error = await call().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'internal_error', fields: { upstream_may_have_executed: true } })
    expect(provider.requests).toEqual([])
    expect(rows.map(({ event }) => event)).toEqual(['proxy.requested', 'proxy.failed'])
  })

  it.each<[string, unknown, string]>([
    [
      'the connection breaks',
      () => Promise.reject(new UpstreamError('provider_unreachable', true)),
      'provider_unreachable',
    ],
    ['nobody knows what happened', breaks, 'internal_error'],
    ['the answer is nonsense', answers({}), 'internal_error'],
  ])('%s: the caller and the log are told', async (_, send, code) => {
    const { call, rows } = hotPath({ send })
    const error = await call().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code, fields: { upstream_may_have_executed: true } })
    expect(rows.map(({ event }) => event)).toEqual(['proxy.requested', 'proxy.failed'])
  })

  it.each<[keyof Parts, string, unknown]>([
    ['appendOutcome', 'the store is away', refuses('audit_unavailable')],
    ['appendOutcome', 'the log breaks', breaks],
    ['appendOutcome', 'the intent was declared unknown before', async () => ({ kind: 'late_answer' })],
  ])('no outcome by %s, since %s: the answer is withheld', async (part, _, broken) => {
    const { call, rows } = hotPath({ [part]: broken })
    const error = await call().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'audit_unavailable',
      status: 503,
      fields: { upstream_may_have_executed: true },
    })
    expect(JSON.stringify(error)).not.toContain('charge')
    expect(provider.requests).toHaveLength(1)
    expect(rows.map(({ event }) => event)).toEqual(['proxy.requested'])
  })
})

describe('a collaborator that never answers', () => {
  const parts: (keyof Parts)[] = [
    ...(['findKey', 'takeRate', 'findAgent', 'findGrant', 'appPolicy', 'lastUsedAtMs'] as const),
    ...(['appendIntent', 'guard', 'openCredential'] as const),
  ]
  it.each(parts)('%s: nothing is sent meanwhile', async (part) => {
    const asked = Promise.withResolvers<void>()
    const { call } = hotPath({
      [part]: () => {
        asked.resolve()
        return hangs()
      },
    })
    let settled = false
    void call().finally(() => {
      settled = true
    })
    await asked.promise
    await new Promise((resolve) => setImmediate(resolve))
    expect(settled).toBe(false)
    expect(provider.requests).toEqual([])
  })
})
