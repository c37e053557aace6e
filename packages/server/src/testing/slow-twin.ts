import type { ProxyRequestBody } from '@alter-vault/contracts'
import type { Database, Tx } from '../db/database.ts'
import type { Presented } from '../http/authenticators.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { createIdentifyCaller, findKeyRoute, loadAgentForCall, loadKeyForAuthentication } from '../keys/index.ts'
import { parseRequestRule } from '../policy/request-rule.ts'
import { findLastUse } from '../uses/actor-store.ts'
import { loadAppPolicy } from '../uses/app-policy-store.ts'
import { counterChargeOf } from '../uses/charge-use.ts'
import { readUsed } from '../uses/counter-store.ts'
import { decideUse, refusalOf } from '../uses/decide-use.ts'
import { loadCandidates, loadGrantFacts } from '../uses/grant-facts-store.ts'
import { grantSources } from '../uses/grant-source.ts'
import { prepareCall } from '../uses/prepare-call.ts'
import { decideByRequest } from '../uses/presented-use.ts'
import { createResolveGrant } from '../uses/resolve-grant.ts'
import { assertAgentMayUse } from '../uses/run-use.ts'

/** What becomes of a use: it is let through, held for a person, or refused with a code. */
export type Verdict = string

type Deps = { db: Pick<Database, 'unscoped' | 'readForApp'>; clock: Clock; keyDigest: (plainKey: string) => Buffer }

/**
 * The slow twin of the fast path: decides a proxied call by what the database holds now, read in one snapshot, with no memory, no
 * versions and no batches. It writes and sends nothing, and leaves out what is not a fact of the database: nonces, and the rates that
 * processes lease slices of. The two must always agree (`proxy/slow-twin.db.test.ts`).
 */
export function createSlowTwin({ db, clock, keyDigest }: Deps) {
  return async function decideSlowly(presented: Presented, request: ProxyRequestBody): Promise<Verdict> {
    const plainKey = presented.headers['x-api-key']
    // Never changes once it exists, so it need not be of the same snapshot.
    const route = await db.unscoped((tx) => findKeyRoute(tx, keyDigest(String(plainKey))))
    if (route === undefined) return 'invalid_key'
    const { appId, keyId } = route
    try {
      return await db.readForApp(appId, (tx) => judge(tx, appId, keyId, presented, request))
    } catch (error) {
      if (error instanceof VaultError) return error.code
      throw error
    }
  }

  async function judge(
    tx: Tx,
    appId: string,
    keyId: string,
    presented: Presented,
    request: ProxyRequestBody,
  ): Promise<Verdict> {
    const identify = createIdentifyCaller({
      clock,
      keyDigest,
      findKey: () => loadKeyForAuthentication(tx, appId, keyId),
      findAgent: (_, agentId) => loadAgentForCall(tx, appId, agentId),
      observeActor: async () => '',
      takeRate: async ({ appId: _ }, { limit }) => ({ ok: true, remaining: limit, resetSeconds: 0 }),
      checkRequestRule: parseRequestRule,
      noteUnknownKey: () => undefined,
    })
    const identified = await identify(presented, { scopes: ['proxy:execute'] })
    if (identified.kind === 'refused') throw identified.error
    const { attempt } = identified
    const { caller } = attempt

    const resolveGrant = createResolveGrant({
      findGrant: (_, grantId) => loadGrantFacts(tx, appId, grantId, grantSources),
      findCandidates: (_, principal, slug) => loadCandidates(tx, appId, principal, slug, grantSources),
    })
    const grant = await resolveGrant(attempt, request, clock.now())
    assertAgentMayUse(caller, grant, clock.now())
    const policy = await loadAppPolicy(tx, appId)
    const call = prepareCall(request, grant, policy)
    const lastUse = await findLastUse(tx, appId, `grant:${grant.grantId}`)
    const judgment = decideUse(
      { caller, grant, reason: null, call, declared: null, lastUsedAtMs: lastUse?.getTime() ?? null },
      policy,
      clock,
      decideByRequest(attempt),
    )
    if (judgment.decision.effect === 'deny') throw refusalOf(judgment)
    for (const charge of judgment.decision.charges.filter(({ exact, rule }) => exact && !rule.shadow)) {
      const counter = counterChargeOf(charge, clock.now())
      if ((await readUsed(tx, appId, counter)) + counter.add > counter.max) return 'quota_exceeded'
    }
    return judgment.decision.effect
  }
}

export type SlowTwin = ReturnType<typeof createSlowTwin>
