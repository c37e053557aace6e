import type { AuditLog } from '../audit/index.ts'
import type { Presented } from '../http/authenticators.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { CallAttempt, IdentifyCaller } from '../keys/index.ts'
import type { Caller } from '../management/index.ts'
import { compileRequestRule } from '../policy/compile-rules.ts'
import { parseRequestRule } from '../policy/request-rule.ts'
import type { AnswerRoom } from './answer-room.ts'
import type { DecideOptions, UseDecision } from './decide-use.ts'
import type { GrantFacts } from './grant-facts.ts'
import { createRefuseUse } from './refuse-use.ts'
import type { GrantAddress, ResolveGrant } from './resolve-grant.ts'
import type { UseKind } from './use-kind.ts'

/** A use as it arrived. */
export type Incoming<Body> = {
  presented: Presented
  /** Where its answer is kept until it has left. */
  room: AnswerRoom
  /** The body in its declared shape; throws `validation_failed` and its kin. */
  body: () => Body | Promise<Body>
  /** Called as soon as the caller is known, so that refusals carry its headers too. */
  onCaller: (attempt: CallAttempt) => void
}

export type PresentedDeps = {
  clock: Clock
  audit: Pick<AuditLog, 'append' | 'clockBehindMs'>
  identify: IdentifyCaller
  resolveGrant: ResolveGrant
  lastUsedAtMs: (appId: string, grantId: string) => Promise<number | null>
  noteUse: (caller: Caller, grant: GrantFacts) => void
}

const CLOCK_STEP_BACK_MAX_MS = 60_000
const REASON_MAX_LENGTH = 2_000

/** The steps that are the same for every use that a caller presents with a signed request and waits for. */
export function createPresentedUse<Body extends GrantAddress>(
  deps: PresentedDeps,
  name: 'proxy' | 'token',
  scope: string,
) {
  const identifyOptions = { scopes: [scope] }
  return {
    name,
    faults: ['before_intent', 'after_intent', 'before_outcome', null],
    async identify(incoming) {
      const identified = await deps.identify(incoming.presented, identifyOptions)
      if (identified.kind === 'caller') incoming.onCaller(identified.attempt)
      return identified
    },
    read: (incoming) => incoming.body(),
    async resolve(attempt, address) {
      const grant = await deps.resolveGrant(attempt, address, deps.clock.now())
      assertClockTrusted(deps.audit.clockBehindMs())
      return grant
    },
    lastUsedAtMs: deps.lastUsedAtMs,
    decideBy: (_, attempt) => decideByRequest(attempt),
    ...createRefuseUse(deps, name),
  } satisfies Partial<UseKind<Incoming<Body>, Body, never, never>>
}

/** A clock that was set back would open time windows again that have closed. */
function assertClockTrusted(behindMs: number): void {
  if (behindMs <= CLOCK_STEP_BACK_MAX_MS) return
  throw new VaultError('clock_untrusted', {
    message: `The server's clock was set back by ${Math.round(behindMs / 1000)} s, so nothing that depends on time can be decided. Nothing was sent.`,
  })
}

const NO_REQUEST_RULE: DecideOptions = { phase: 'request', requestRule: null }

export function decideByRequest({ requestRule }: CallAttempt): DecideOptions {
  if (requestRule === null) return NO_REQUEST_RULE
  return { phase: 'request', requestRule: compileRequestRule(parseRequestRule(requestRule)) }
}

/** The caller's reason as it is kept: at most 2,000 characters. */
export function reasonOf(given: string | undefined): { text: string | null; truncated: boolean } {
  if (given === undefined) return { text: null, truncated: false }
  const truncated = given.length > REASON_MAX_LENGTH
  return { text: truncated ? given.slice(0, REASON_MAX_LENGTH).toWellFormed() : given, truncated }
}

/** A failure after the decision names it too. */
export function withDecision(error: VaultError, judgment: UseDecision): VaultError {
  error.fields.decision_id ??= judgment.record.decision_id
  return error
}
