import type { RuleType } from '@alter-vault/contracts'
import type { RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { AppRef, ChangeAuthor } from './change-author.ts'

/** One rule of an agent's policy block or of a grant's policy. */
export type ManagedRule = {
  type: RuleType
  name: string
  body: Record<string, unknown>
  /** Where the caller wrote it, for the errors. */
  pointer: string
}

/** How agents and grants, on which rules build, keep the rules that their policies stand for. */
export type ManagedRules = {
  /**
   * Makes the rules that one policy manages what is given, in the caller's transaction, which holds the app's lock. At most one rule
   * of a type; one that stays keeps its id. Refusals: as of a rule, pointers below the caller's own.
   */
  replaceManagedRules(
    tx: Tx,
    record: RecordEvent,
    input: { app: AppRef; author: ChangeAuthor; rules: readonly ManagedRule[] } & (
      | { target: { type: 'agent'; id: string }; managedBy: 'agent_policy' }
      | { target: { type: 'grant'; id: string }; managedBy: 'grant_policy' }
    ),
  ): Promise<void>
}
