import type { AppendMember, AppendResult } from '../audit/index.ts'
import type { SendWindow } from '../egress/send-window.ts'
import type { FaultPoint } from '../kernel/faults.ts'
import type { ReadVersion } from '../kernel/read-version.ts'
import type { Stale } from '../kernel/read-versions.ts'
import type { VaultError } from '../kernel/vault-error.ts'
import type { CallAttempt, Identified, KnownCaller } from '../keys/index.ts'
import type { AppPolicy } from './app-policy.ts'
import type { DecideOptions, UseDecision, UseView } from './decide-use.ts'
import type { GrantFacts } from './grant-facts.ts'
import type { PreparedCall } from './prepare-call.ts'
import type { CallerColumns, RequestColumns, UseColumns } from './use-rows.ts'

/** One use with everything that its decision has read: what its rows, its hold and its sending are made of. */
export type Use<Given, Request> = UseView & {
  given: Given
  request: Request
  attempt: CallAttempt
  policy: AppPolicy
  /** Every version that the decision was made on. */
  versions: readonly ReadVersion[]
  requestColumns: RequestColumns
  columns: UseColumns
}

/** A use that will send a call. */
export type CallUse = Use<unknown, unknown> & { call: PreparedCall }

/** A use whose intent is durable: it begins inside `window`, or never. */
export type AdmittedUse<Given, Request> = {
  kind: 'admitted'
  use: Use<Given, Request>
  judgment: UseDecision
  intentId: string
  startedMs: number
  window: SendWindow
}

/** Why a use is not made, and all that was known of it by then. */
export type Refusal = {
  error: VaultError
  attempt: CallAttempt
  who: CallerColumns
  /** The refusal is recorded only while these hold: it is as fresh as a permission. */
  versions: readonly ReadVersion[] | Stale
  /** Null: what was asked could not be read. */
  requestColumns: RequestColumns | null
  grant: GrantFacts | null
}

export type NotStored = Exclude<AppendResult, { kind: 'stored' }>
export type Ended<Result> = { kind: 'ended'; result: Result }
export type Charges = NonNullable<AppendMember['charges']>

/**
 * One kind of use, as the steps that differ. `Given` is what came in, `Request` its parsed form, `End` how the use ended. The order
 * of the steps is that of `runUse`, and of nobody else.
 */
export type UseKind<Given, Request, End extends object, Result extends object> = {
  name: 'proxy' | 'token' | 'execution'
  /** Where a test may stop the process: before and after the intent, before and after the outcome. */
  faults: readonly [
    beforeIntent: FaultPoint | null,
    afterIntent: FaultPoint,
    beforeOutcome: FaultPoint,
    after: FaultPoint | null,
  ]
  identify(given: Given): Promise<Identified>
  /** The request in its declared shape; throws `validation_failed` and its kin. */
  read(given: Given): Request | Promise<Request>
  requestColumns(request: Request): RequestColumns
  /** The live grant that the request names; adds what it read to the attempt. */
  resolve(attempt: CallAttempt, request: Request): Promise<GrantFacts>
  /** Pure: what will be sent, held against the grant and where the app may reach. */
  prepare(request: Request, grant: GrantFacts, policy: AppPolicy): Pick<UseView, 'call' | 'declared'>
  lastUsedAtMs(appId: string, grantId: string): Promise<number | null>
  decideBy(given: Given, attempt: CallAttempt): DecideOptions
  /** A use that ends with its decision; null: it goes on. */
  onlyDecide(use: Use<Given, Request>, judgment: UseDecision): Promise<Ended<Result> | NotStored> | null
  /** What becomes of a use that waits for people. Throws the refusal where this kind cannot wait. */
  hold(use: Use<Given, Request>, judgment: UseDecision, charges: Charges): Promise<Ended<Result> | NotStored>
  /** The row that says the credential will be used, and what is stored or refused with it. */
  intent(use: Use<Given, Request>, judgment: UseDecision, intentId: string): Pick<AppendMember, 'rows' | 'claim'>
  intentId(given: Given): string
  /** Opens the credential and uses it. An intent has an outcome: failures of the use are values. */
  perform(admitted: AdmittedUse<Given, Request>): Promise<End>
  record(admitted: AdmittedUse<Given, Request>, end: End): Promise<void>
  /** What is answered. Throws the failure of a use that failed. */
  result(admitted: AdmittedUse<Given, Request>, end: End): Result
  /** Records a refusal, then throws it or says what is answered. */
  refuse(given: Given, refusal: Refusal): Promise<Result | Stale>
  /** As `refuse`, for a caller that was refused before anything was read. */
  refuseCaller(given: Given, known: KnownCaller, error: VaultError): Promise<Result | Stale>
}
