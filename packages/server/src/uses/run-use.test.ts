import { describe, expect, it } from 'vitest'
import type { AppendMember, AppendResult } from '../audit/index.ts'
import { canonicalUrl } from '../egress/canonical-url.ts'
import { openSendWindow } from '../egress/send-window.ts'
import { noFaults } from '../kernel/faults.ts'
import { newId } from '../kernel/ids.ts'
import { addVersions, readVersionsOf } from '../kernel/read-versions.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { compileRules } from '../policy/compile-rules.ts'
import { ruleOf } from '../policy/context-for-tests.ts'
import { grantFactsOf } from '../testing/grant-facts.ts'
import { createHandClock } from '../testing/management.ts'
import { assumedCaller } from './assumed-caller.ts'
import type { GrantFacts } from './grant-facts.ts'
import { createRefuseUse } from './refuse-use.ts'
import { createRunUse } from './run-use.ts'
import type { EnsureUsable } from './usable-credential.ts'
import type { UseKind } from './use-kind.ts'
import { intentRow } from './use-rows.ts'

/* The order itself, with a made-up kind whose steps say that they ran. */

const ids = { appId: newId(), organizationId: newId(), agentId: newId() }
const host = 'api.example'
const NO_NAMES = { headers: [], queryParams: [] }
const call = {
  method: 'POST',
  url: canonicalUrl(`https://${host}/charges`),
  headers: [],
  body: undefined,
  dropped: NO_NAMES,
}
const NONCE = { ts: 1, digest: Buffer.alloc(16) }

type Done = { kind: 'done' }
type Kind = UseKind<null, null, { ended: true }, Done>

const grantOf = (over: Partial<GrantFacts> = {}): GrantFacts => ({
  ...grantFactsOf(host, {
    principal: { type: 'agent', id: ids.agentId },
    target: { kind: 'oauth', scopes: ['pay'] },
    credential: { generation: 1, usableUntilMs: 1 },
    versions: [{ subject: 'credential:1', version: 1 }],
  }),
  ...over,
})

type Options = {
  /** The step that fails, and how. */
  fail?: string
  /** What the store answers to the appends, in order; then `stored`. */
  answers?: AppendResult[]
  rules?: [type: string, body: object][]
  scopes?: Record<string, string[]>
  ensureUsable?: EnsureUsable
  onlyDecide?: boolean
}

/** One use of the made-up kind: which steps ran, and what was appended. */
function start({ fail, answers = [], rules = [], scopes = { payments: ['pay'] }, ensureUsable, onlyDecide }: Options) {
  const clock = createHandClock()
  const steps: string[] = []
  const members: AppendMember[] = []
  let grant = grantOf()

  function step<T>(name: string, value: T): T {
    steps.push(name)
    if (name === fail) throw new VaultError('blocked_destination')
    return value
  }
  const audit = {
    async append(_: unknown, member: AppendMember): Promise<AppendResult> {
      members.push(member)
      const [event] = member.rows.map((row) => row.event)
      steps.push(event ?? 'conditions')
      if (event === 'proxy.requested' && fail === 'intent') throw new VaultError('audit_unavailable')
      return answers.shift() ?? { kind: 'stored', events: [], window: openSendWindow(clock) }
    },
  }
  const agent = {
    agentId: ids.agentId,
    name: 'worker',
    type: 'agent' as const,
    scopes,
    scopesPending: null,
    scopesAppliesAtMs: null,
  }
  const kind: Kind = {
    ...createRefuseUse({ audit, clock }, 'proxy'),
    name: 'proxy',
    faults: [null, 'after_intent', 'before_outcome', null],
    async identify() {
      steps.push('identify')
      const caller = assumedCaller({
        ...ids,
        appEnvironment: 'production',
        keyType: 'ak',
        agent,
        clientIp: '203.0.113.1',
        traceId: '0'.repeat(32),
      })
      const readVersions = readVersionsOf([{ subject: 'key:1', version: 1 }])
      if (fail === 'identify') {
        return { kind: 'refused', error: new VaultError('ip_not_allowed'), known: { caller, readVersions } }
      }
      return { kind: 'caller', attempt: { caller, readVersions, nonce: NONCE, requestRule: null, answerHeaders: {} } }
    },
    read: () => step('read', null),
    requestColumns: () => ({ method: 'POST', url: `https://${host}/charges`, reason: null, declared: false }),
    async resolve({ readVersions }) {
      addVersions(readVersions, grant.versions)
      return step('resolve', grant)
    },
    prepare: () => step('prepare', { call, declared: null }),
    lastUsedAtMs: async () => null,
    decideBy: () => step('decide', { phase: 'request', requestRule: null }),
    onlyDecide: () => (onlyDecide ? Promise.resolve({ kind: 'ended', result: { kind: 'done' } }) : null),
    hold: async () => step('hold', { kind: 'ended', result: { kind: 'done' } }),
    intent: (use, judgment, intentId) => ({ rows: [intentRow('proxy', use, judgment.record, intentId)] }),
    intentId: () => newId(),
    perform: async ({ window }) => step('perform', { ended: window.isOpen() as true }),
    record: async (_admitted, { ended }) => step('record', expect(ended).toBe(true)),
    result: () => step('result', { kind: 'done' }),
  }
  const runUse = createRunUse({
    clock,
    audit,
    appPolicy: async () =>
      step('policy', {
        appId: ids.appId,
        appStatus: 'live',
        appEnvironment: 'production',
        rules: compileRules(
          rules.map(([type, body]) => ruleOf(type, body, { target: { type: 'app', id: ids.appId } })),
        ),
        approvalDefaults: { channels: [], requireReason: false },
        allowedPrivateHosts: new Set<string>(),
        captureBodies: false,
        epoch: { subject: 'epoch', version: 1 },
      }),
    meter: {
      take: async () =>
        step(
          'charge',
          fail === 'budget' ? { ok: false, retryAfterSeconds: 9 } : { ok: true, remaining: 1, resetSeconds: 1 },
        ),
    },
    usableCredentials: {
      oauth: ensureUsable ?? (async () => step('usable', { kind: 'usable' })),
    },
    forget: (_, subjects) => void steps.push(`forget ${subjects.join()}`),
    faults: noFaults,
  })
  function replaceGrant(next: GrantFacts): void {
    grant = next
  }
  const run = () => runUse(kind, null).then(({ kind: end }) => end, codeOf)
  const rows = () => members.flatMap((member) => member.rows)
  return { run, steps, rows, members, clock, audit, replaceGrant }
}

const codeOf = (error: unknown): string => {
  if (error instanceof VaultError) return error.code
  throw error
}

const FAST_LIMIT: [string, object] = ['rate_limit', { limit: 1_000, window_seconds: 60 }]
const DENIED: [string, object] = ['json_match', { effect: 'deny', when: { provider_id: 'payments' } }]
const HELD: [string, object] = ['require_approval', { effect: 'require_approval', approval: {}, when: {} }]
const UP_TO_DECISION = ['identify', 'read', 'resolve', 'policy', 'prepare', 'decide']
const ALL = [...UP_TO_DECISION, 'charge', 'usable', 'proxy.requested', 'perform', 'record', 'result']

describe('the order of a use', () => {
  it('is one', async () => {
    const use = start({ rules: [FAST_LIMIT] })
    expect(await use.run()).toBe('done')
    expect(use.steps).toEqual(ALL)
  })

  it.each<[string, Options, string, last: string, refusalRow: string | null]>([
    ['the caller', { fail: 'identify' }, 'ip_not_allowed', 'identify', 'proxy.refused'],
    ['the request', { fail: 'read' }, 'blocked_destination', 'read', 'proxy.refused'],
    ['the grant', { fail: 'resolve' }, 'blocked_destination', 'resolve', 'proxy.denied'],
    ['the scopes', { scopes: { other: ['pay'] } }, 'agent_scope_not_allowed', 'resolve', 'proxy.denied'],
    ['the preparation', { fail: 'prepare' }, 'blocked_destination', 'prepare', 'proxy.denied'],
    ['the rules', { fail: 'policy' }, 'blocked_destination', 'policy', 'proxy.denied'],
    ['the decision', { rules: [DENIED] }, 'policy_denied', 'decide', 'proxy.denied'],
    ['the budget', { fail: 'budget' }, 'quota_exceeded', 'charge', 'proxy.denied'],
    ['the meter', { fail: 'charge' }, 'blocked_destination', 'charge', 'proxy.denied'],
    ['the credential', { fail: 'usable' }, 'blocked_destination', 'usable', 'proxy.denied'],
    ['the intent', { fail: 'intent' }, 'audit_unavailable', 'proxy.requested', null],
    ['the nonce', { answers: [{ kind: 'nonce_replayed' }] }, 'nonce_replayed', 'proxy.requested', 'proxy.refused'],
    ['the use', { fail: 'perform' }, 'blocked_destination', 'perform', null],
    ['the outcome', { fail: 'record' }, 'blocked_destination', 'record', null],
    ['the answer', { fail: 'result' }, 'blocked_destination', 'result', null],
  ])('ends where %s fails: no later step runs, and one row says so', async (_, options, code, last, refusal) => {
    const use = start({ rules: [FAST_LIMIT], ...options })
    expect(await use.run()).toBe(code)
    const until = ALL.slice(0, ALL.indexOf(last) + 1)
    expect(use.steps).toEqual([...until, ...(refusal === null ? [] : [refusal])])
    if (refusal === null) return
    const row = use.rows().at(-1)!
    expect(row).toMatchObject({ event: refusal, primaryReason: code, detail: { errorCode: code } })
    const knowsGrant = !['identify', 'read', 'resolve'].includes(options.fail ?? '')
    expect(row.providerId ?? null).toBe(knowsGrant ? 'payments' : null)
    const isReplay = code === 'nonce_replayed'
    expect(use.members.at(-1)?.nonce).toBe(options.fail === 'identify' || isReplay ? undefined : NONCE)
    expect(use.members.at(-1)?.fences?.map(({ subject }) => subject)).toContain('key:1')
  })

  it('ends with the decision where a kind wants no more', async () => {
    const use = start({ onlyDecide: true, rules: [DENIED] })
    expect(await use.run()).toBe('done')
    expect(use.steps).toEqual(UP_TO_DECISION)
  })

  it('holds instead of storing an intent, after the charge', async () => {
    const use = start({ rules: [FAST_LIMIT, HELD] })
    expect(await use.run()).toBe('done')
    expect(use.steps).toEqual([...UP_TO_DECISION, 'charge', 'hold'])
  })

  it('begins anew when a fact has moved, three times at most, and then says so', async () => {
    const stale = (): AppendResult => ({ kind: 'stale', subjects: ['epoch'] })
    const again = [...UP_TO_DECISION, 'usable', 'proxy.requested', 'forget epoch']
    const twice = start({ answers: [stale(), stale()] })
    expect(await twice.run()).toBe('done')
    expect(twice.steps).toEqual([...again, ...again, ...ALL.filter((step) => step !== 'charge')])

    const drifting = start({ answers: [stale(), stale(), stale()] })
    expect(await drifting.run()).toBe('policy_version_drift')
    expect(drifting.steps).toEqual([...again, ...again, ...again.slice(0, -1), 'proxy.denied'])
    expect(drifting.members.at(-1)?.fences).toEqual([])
    expect(drifting.rows().at(-1)).toMatchObject({ providerId: 'payments', detail: { method: 'POST' } })
  })

  it('records a refusal only while what it was decided on holds', async () => {
    const use = start({ rules: [DENIED], answers: [{ kind: 'stale', subjects: ['epoch'] }] })
    expect(await use.run()).toBe('policy_denied')
    const once = [...UP_TO_DECISION, 'proxy.denied']
    expect(use.steps).toEqual([...once, 'forget epoch', ...once])
  })
})

describe('a credential that runs out', () => {
  const REFRESH_MS = 8_000

  /** Refreshes once: its own intent, then the slow provider, then a new version. */
  function refreshing(outcome: 'refreshed' | 'refused') {
    const use = start({
      async ensureUsable({ grant }) {
        use.steps.push(`usable ${grant.credential.generation}`)
        if (grant.credential.generation === 2) return { kind: 'usable' }
        const row = { event: 'grant.updated', outcome: 'allowed' } as const
        await use.audit.append(null, { rows: [row], fences: grant.versions })
        use.clock.advance(REFRESH_MS)
        if (outcome === 'refused') throw new VaultError('credential_revoked')
        use.replaceGrant(
          grantOf({
            credential: { ...grant.credential, generation: 2, usableUntilMs: use.clock.now() + 3_600_000 },
            versions: [{ subject: 'credential:1', version: 2 }],
          }),
        )
        return { kind: 'stale', subjects: ['credential:1'] }
      },
    })
    return use
  }

  it('is refreshed before the intent, under an intent of its own; the use is decided anew on the new version', async () => {
    const use = refreshing('refreshed')
    expect(await use.run()).toBe('done')
    expect(use.steps).toEqual([
      ...UP_TO_DECISION,
      'usable 1',
      'grant.updated',
      'forget credential:1',
      ...UP_TO_DECISION,
      'usable 2',
      'proxy.requested',
      'perform',
      'record',
      'result',
    ])
    expect(use.members.at(-1)?.fences).toContainEqual({ subject: 'credential:1', version: 2 })
  })

  it('leaves the whole send window to the use, however long the refresh took', async () => {
    const use = refreshing('refreshed')
    const startedMs = use.clock.now()
    // The made-up kind fails its outcome when the window has closed by the time it is performed.
    expect(await use.run()).toBe('done')
    expect(use.clock.now() - startedMs).toBe(REFRESH_MS)
  })

  it('that cannot be refreshed is refused: no intent, nothing opened', async () => {
    const use = refreshing('refused')
    expect(await use.run()).toBe('credential_revoked')
    expect(use.steps.slice(UP_TO_DECISION.length)).toEqual(['usable 1', 'grant.updated', 'proxy.denied'])
  })

  it('that nothing keeps usable is never opened', async () => {
    const use = start({ scopes: { managed_secret_slugs: ['payments'] } })
    use.replaceGrant(grantOf({ target: { ...grantOf().target, kind: 'managed_secret' } }))
    await expect(use.run()).rejects.toThrow('Nothing keeps')
    expect(use.steps).toEqual(UP_TO_DECISION)
  })
})
