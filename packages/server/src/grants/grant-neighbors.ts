import type { ApprovalConfig } from '@alter-vault/contracts'
import type { RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { FieldError } from '../kernel/vault-error.ts'
import type { AppRef, ChangeAuthor } from '../management/index.ts'

type GrantTarget = { app: AppRef; author: ChangeAuthor; target: { type: 'grant'; id: string } }

/** What stands right of the grants in the import order comes in from the composition root. */
export type GrantNeighbors = {
  /** Every fault of the restrictions of a grant, pointers into them. */
  checkGrantRestrictions: (restrictions: unknown) => readonly FieldError[]
  /** Makes the rules that a grant's policy manages what is given; the transaction holds the app's lock. */
  replaceManagedRules: (
    tx: Tx,
    record: RecordEvent,
    input: GrantTarget & { managedBy: 'grant_policy'; rules: readonly ApprovalRule[] },
  ) => Promise<unknown>
  deleteRulesOf: (tx: Tx, record: RecordEvent, input: GrantTarget) => Promise<unknown>
  /** Ends the held requests of a grant that ends. Returns the attempts that may still finish. */
  endWaitingApprovals: (
    tx: Tx,
    appId: string,
    of: { grantId: string },
    reason: 'grant_revoked',
    record: RecordEvent,
  ) => Promise<{ inFlight: readonly string[] }>
}

/** The rule that stands for `requires_approval` of a grant's policy. */
export type ApprovalRule = {
  type: 'require_approval'
  name: string
  body: { effect: 'require_approval'; approval: ApprovalConfig }
  pointer: string
}
