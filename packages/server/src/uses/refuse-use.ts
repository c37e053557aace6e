import { type AuditLog, appScope } from '../audit/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { isStale, joinVersions, type Stale } from '../kernel/read-versions.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { KnownCaller } from '../keys/index.ts'
import { Denial } from './decide-use.ts'
import type { Refusal } from './use-kind.ts'
import { refusedCallerRow, refusedUseRow } from './use-rows.ts'

type Deps = { audit: Pick<AuditLog, 'append'>; clock: Clock }

/** Refusals of the request's form and of the write, whatever had been decided by then. */
const REFUSED_NOT_DENIED = new Set([
  'validation_failed',
  'nonce_replayed',
  'service_unavailable',
  'invalid_json',
  'body_too_large',
  'too_many_pending_approvals',
  'internal_error',
])

/** How uses that somebody waits for are refused: one row named after the kind, then the refusal is thrown. */
export function createRefuseUse({ audit, clock }: Deps, name: 'proxy' | 'token') {
  /** Records a refusal under the versions it was decided on, then throws it. */
  async function refuse(_given: unknown, refusal: Refusal): Promise<Stale> {
    const { error, attempt, who, versions, requestColumns, grant } = refusal
    if (error.code === 'audit_unavailable') throw error
    if (isStale(versions)) return versions
    const isDenied = requestColumns !== null && !REFUSED_NOT_DENIED.has(error.code)
    const record = error instanceof Denial ? error.record : isDenied ? baseDecision(error, clock.now()) : null
    const { caller, nonce } = attempt
    const result = await audit.append(appScope(caller.appId, caller.organizationId), {
      rows: [refusedUseRow(name, who, grant, requestColumns, error, record)],
      fences: versions,
      // A replayed nonce is not settled again; any other refusal uses its nonce up.
      ...(error.code === 'nonce_replayed' ? {} : { nonce }),
    })
    if (result.kind === 'stale') return result
    if (result.kind === 'nonce_replayed') {
      const replayed = new VaultError('nonce_replayed')
      if (error instanceof Denial) return refuse(_given, { ...refusal, error: replayed })
      throw replayed
    }
    if (record !== null) {
      error.fields.decision_id = record.decision_id
      if (!(error instanceof Denial)) error.fields.reasons = record.reasons
    }
    throw error
  }

  /** The same for a caller that was refused. */
  async function refuseCaller(_given: unknown, known: KnownCaller, error: VaultError): Promise<Stale> {
    const { caller } = known
    const versions = joinVersions(known.readVersions)
    if (isStale(versions)) return versions
    const row = refusedCallerRow(name, caller, error)
    const result = await audit.append(appScope(caller.appId, caller.organizationId), { rows: [row], fences: versions })
    if (result.kind === 'stale') return result
    throw error
  }

  return { refuse, refuseCaller }
}

/** The decision of a refusal that no rule made, in the form of docs/spec/decisions-and-rules.md#the-decision-record as far as it applies. */
function baseDecision(error: VaultError, nowMs: number) {
  const reason = {
    code: error.code,
    effect: 'deny',
    rule_id: null,
    message: error.message,
    shadow: false,
    retryable_at: null,
  }
  return {
    decision_id: newId(nowMs),
    effect: 'deny',
    phase: 'request',
    evaluated_at: new Date(nowMs).toISOString(),
    reasons: [reason],
    retryable: false,
    retry_after_seconds: null,
  }
}
