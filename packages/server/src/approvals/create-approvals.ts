import type { KeyObject } from 'node:crypto'
import type { AuditLog } from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import type { After } from '../egress/timer.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { createApplyApprovalRetention } from './apply-retention.ts'
import { createApprovalLinks } from './approval-link.ts'
import { createReadApprovalPage } from './approval-page.ts'
import { createApprovalStatus } from './approval-status.ts'
import { createApprovalWatch, type Repeat } from './approval-watch.ts'
import { createCancelApproval } from './cancel-approval.ts'
import { createClaimApproved } from './claim-approved.ts'
import { createDecideApproval, type Executions } from './decide-approval.ts'
import { createExpireApprovals } from './expire-approvals.ts'
import { createManageApprovals } from './manage-approvals.ts'
import { createOpenApproval } from './open-approval.ts'
import { createReadAppScope } from './read-app-scope.ts'
import { createRecordExecution } from './record-execution.ts'
import { createRequestApproval } from './request-approval.ts'

export type ApprovalsDeps = {
  db: Database
  audit: Pick<AuditLog, 'change'>
  keyring: Pick<Keyring, 'sealFor' | 'openFor'>
  /** HMAC key of approval links, derived from the installation's root key; the same in every process. */
  linkKey: KeyObject
  /** Where people reach this installation, without a final slash. */
  publicUrl: string
  /** The id under which this process claims what it sends. */
  processId: string
  clock: Clock
  log: Pick<Log, 'error'>
  executions: Executions
  repeat?: Repeat
  after?: After
}

export type Approvals = ReturnType<typeof approvalUseCases>

/** Held requests: from the freezing to the recorded answer. Sending is the proxy's. */
export function approvalUseCases(deps: ApprovalsDeps) {
  const { db, audit, keyring, linkKey, publicUrl, processId, clock, log, executions } = deps
  const links = createApprovalLinks({ linkKey, publicUrl })
  const readAppScope = createReadAppScope(db)
  const watch = createApprovalWatch({
    db,
    ...(deps.repeat && { repeat: deps.repeat }),
    ...(deps.after && { after: deps.after }),
  })
  const { announce } = watch
  const { expireIfDue, runDueWork } = createExpireApprovals({ db, audit, readAppScope, announce, log })
  const openApproval = createOpenApproval({ db, links, expireIfDue })
  const decisions = createDecideApproval({
    db,
    keyring,
    audit,
    readAppScope,
    openApproval,
    executions,
    announce,
  })

  return {
    requestApproval: createRequestApproval({ audit, keyring, links }),
    decideByLink: decisions.decideByLink,
    readApprovalPage: createReadApprovalPage({ db, keyring, openApproval, ...executions }),
    cancelApproval: createCancelApproval({ audit, readAppScope, announce }),
    ...createApprovalStatus({ db, audit, keyring, watch, clock, expireIfDue }),
    ...createManageApprovals({ db, keyring }),
    ...createClaimApproved({ db, audit, keyring, readAppScope, announce, processId }),
    ...createRecordExecution({ audit, keyring, readAppScope, announce }),
    /** What is due by the clock, except executions. */
    runDueWork,
    /** What an app no longer wants kept. */
    forgetInApp: createApplyApprovalRetention({ audit, readAppScope }),
    /** Answers those who wait. */
    drain: watch.close,
  }
}
