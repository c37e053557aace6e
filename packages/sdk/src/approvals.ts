/**
 * Proxied results and the approvals some of them wait for.
 *
 *   pending ──▶ approved ──▶ executing ──▶ executed   (then there is a result)
 *      │           └──────────────┴──────▶ failed
 *      ├──▶ denied
 *      └──▶ expired
 */
import { Buffer } from 'node:buffer'
import {
  anyText,
  bool,
  type Form,
  instance,
  integer,
  listOf,
  oneOf,
  readFields,
  someText,
  textMap,
  timestamp,
  uuid,
} from './read-fields.ts'
import { type FromWire, type OnWire, toWire } from './wire-names.ts'

const approvalStatusValue = oneOf('pending', 'approved', 'executing', 'denied', 'expired', 'executed', 'failed')

/** States of a held request; the last four are final. */
export type ApprovalStatusValue = 'pending' | 'approved' | 'executing' | 'denied' | 'expired' | 'executed' | 'failed'

const TERMINAL: readonly ApprovalStatusValue[] = ['denied', 'expired', 'executed', 'failed']

/** One decision that a held request needs, with the link for its approvers. */
export class PendingGate {
  readonly approvalId: string
  readonly expiresAt: string
  /** Seconds until `expiresAt`, as the vault counted. */
  readonly expiresIn: number
  readonly approvalUrl: string

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(fields: FromWire<PendingGate>) {
    const read = readFields('a gate', fields)
    this.approvalId = read.required('approvalId', uuid)
    this.expiresAt = read.required('expiresAt', timestamp)
    this.expiresIn = read.required('expiresIn', integer)
    this.approvalUrl = read.required('approvalUrl', someText)
  }

  toJSON(): OnWire<PendingGate> {
    return toWire(this) as OnWire<PendingGate>
  }
}

/** The request was not sent: it is held until a person decides. Answer of `proxyRequest()` with status 202. */
export class PendingApproval {
  /** Ask for the outcome with this id. */
  readonly approvalId: string
  readonly approvalGroupId: string
  readonly status: 'pending'
  readonly expiresAt: string
  /** Seconds until `expiresAt`, as the vault counted. */
  readonly expiresIn: number
  /** Where an approver decides. Whoever holds the link may be able to: hand it to the approver only. */
  readonly approvalUrl: string
  /** Every decision needed; more than one when several rules ask different people. */
  readonly gates: readonly PendingGate[]

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(fields: FromWire<PendingApproval>) {
    const read = readFields('a pending approval', fields)
    this.approvalId = read.required('approvalId', uuid)
    this.approvalGroupId = read.required('approvalGroupId', uuid)
    this.status = read.required('status', oneOf('pending'))
    this.expiresAt = read.required('expiresAt', timestamp)
    this.expiresIn = read.required('expiresIn', integer)
    this.approvalUrl = read.required('approvalUrl', someText)
    this.gates = read.required('gates', listOf(instance(PendingGate), 1))
  }

  toJSON(): OnWire<PendingApproval> {
    return toWire(this) as OnWire<PendingApproval>
  }
}

/** State of one decision of a held request. */
export class GateStatus {
  readonly approvalId: string
  readonly status: ApprovalStatusValue
  readonly expiresAt: string
  readonly decidedAt: string | null

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(fields: FromWire<GateStatus>) {
    const read = readFields('a gate', fields)
    this.approvalId = read.required('approvalId', uuid)
    this.status = read.required('status', approvalStatusValue)
    this.expiresAt = read.required('expiresAt', timestamp)
    this.decidedAt = read.optional('decidedAt', timestamp)
  }

  toJSON(): OnWire<GateStatus> {
    return toWire(this) as OnWire<GateStatus>
  }
}

/** A held request at one moment. */
export class ApprovalStatus {
  readonly approvalId: string
  readonly approvalGroupId: string
  readonly status: ApprovalStatusValue
  readonly gates: readonly GateStatus[]
  readonly expiresAt: string
  readonly decidedAt: string | null
  /** What the approver wrote. */
  readonly decisionReason: string | null
  readonly executedAt: string | null
  /** Why it failed, when it was approved but could not be executed. */
  readonly executionError: string | null
  /** The provider's answer can be fetched. */
  readonly hasResult: boolean

  /** @throws {AlterValueError} naming the field that is not as promised, an unknown `status` among them. */
  constructor(fields: FromWire<ApprovalStatus>) {
    const read = readFields('an approval status', fields)
    this.approvalId = read.required('approvalId', uuid)
    this.approvalGroupId = read.required('approvalGroupId', uuid)
    this.status = read.required('status', approvalStatusValue)
    this.gates = read.required('gates', listOf(instance(GateStatus), 1))
    this.expiresAt = read.required('expiresAt', timestamp)
    this.decidedAt = read.optional('decidedAt', timestamp)
    this.decisionReason = read.optional('decisionReason', anyText)
    this.executedAt = read.optional('executedAt', timestamp)
    this.executionError = read.optional('executionError', anyText)
    this.hasResult = read.required('hasResult', bool)
  }

  /** No further change will come. */
  get isTerminal(): boolean {
    return TERMINAL.includes(this.status)
  }

  toJSON(): OnWire<ApprovalStatus> {
    return toWire(this) as OnWire<ApprovalStatus>
  }
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const base64: Form<string> = {
  expects: 'standard base64 with padding',
  read: (value) => (typeof value === 'string' && BASE64.test(value) ? value : undefined),
}

/** The provider's answer to a proxied request. A status of 400 or above is an answer too, not an error. */
export class ApprovalResult {
  /** `null` when no approval was needed. */
  readonly approvalId: string | null
  /** The provider's HTTP status. */
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  readonly bodyB64: string
  /** The body was longer than the vault keeps; `bodyB64` is its beginning. */
  readonly bodyTruncated: boolean
  readonly durationMs: number | null
  /** Advice of the vault when the provider refused the credential. */
  readonly credentialHint: string | null

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(fields: FromWire<ApprovalResult>) {
    const read = readFields('a proxied result', fields)
    this.approvalId = read.optional('approvalId', uuid)
    this.statusCode = read.required('statusCode', integer)
    this.headers = read.defaulted('headers', textMap, {})
    this.bodyB64 = read.required('bodyB64', base64)
    this.bodyTruncated = read.defaulted('bodyTruncated', bool, false)
    this.durationMs = read.optional('durationMs', integer)
    this.credentialHint = read.optional('credentialHint', anyText)?.trim() || null
  }

  /** The body as bytes. */
  bodyBytes(): Uint8Array {
    return Uint8Array.from(Buffer.from(this.bodyB64, 'base64'))
  }

  /**
   * The body as text; bytes that do not fit the encoding become U+FFFD.
   * @param encoding a label that `TextDecoder` knows
   * @throws {RangeError} for an encoding it does not know
   */
  bodyText(encoding = 'utf-8'): string {
    return new TextDecoder(encoding).decode(this.bodyBytes())
  }

  /**
   * The body as JSON.
   * @throws {SyntaxError} when it is none, an empty body among them
   */
  bodyJson(): unknown {
    return JSON.parse(this.bodyText())
  }

  toJSON(): OnWire<ApprovalResult> {
    return toWire(this) as OnWire<ApprovalResult>
  }
}
