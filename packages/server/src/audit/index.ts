export type { Charge, SendClaim } from './append-store.ts'
export {
  type AuditLog,
  type ChangeConditions,
  ConditionRefused,
  createAuditLog,
  type RecordEvent,
} from './audit-log.ts'
export type { AuditReads, AuditReadsDeps } from './audit-reads.ts'
export {
  appScope,
  type BodyDigest,
  type CallerKind,
  callerDetail,
  callerKindOf,
  installationScope,
  type Outcome,
  organizationScope,
  type RowDetail,
  type RowDraft,
  type Scope,
  type WrittenRuns,
  writeRuns,
} from './audit-row.ts'
export type { AppendMember, AppendResult, Stored } from './batch-writer.ts'
export type { KeptBody } from './body-frames.ts'
export { createAudit, PACE, type Pace } from './create-audit.ts'
export { type Budget, chargeOf, createRateMeter, type MeterAnswer, type RateMeter } from './rate-meter.ts'
export type { Reader, Session } from './reader.ts'
export { type CapturedBody, captureBody, storedHeaders, storedUrl } from './stored-text.ts'
export { verifyAuditFile } from './verify-export-file.ts'
