import type { ApprovalConfig } from '@alter-vault/contracts'
import type { RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { AppRef, ChangeAuthor, ManagedRules } from '../management/index.ts'

const POINTER = '/grant_policy/requires_approval'

/**
 * Makes every use of a grant wait for an approval, or with null no longer: a rule on the grant that only its policy changes. The
 * caller holds the app's lock. Refusal: `invalid_rule_body`, pointers into the grant's policy.
 */
export async function requireApproval(
  managed: ManagedRules,
  tx: Tx,
  record: RecordEvent,
  input: { app: AppRef; author: ChangeAuthor; grantId: string; approval: ApprovalConfig | null },
): Promise<void> {
  const { app, author, grantId, approval } = input
  const body = approval && { effect: 'require_approval' as const, approval }
  const rules =
    body === null
      ? []
      : [{ type: 'require_approval' as const, name: 'Approval asked by the grant', body, pointer: POINTER }]
  try {
    const target = { type: 'grant' as const, id: grantId }
    await managed.replaceManagedRules(tx, record, { app, author, target, managedBy: 'grant_policy', rules })
  } catch (error) {
    throw error instanceof VaultError ? withoutApprovalMember(error) : error
  }
}

/** In the rule the configuration is the member `approval` of its body; in a grant's policy it stands by itself. */
function withoutApprovalMember(error: VaultError): VaultError {
  const { code, message, fields } = error
  const errors = error.errors?.map((fault) => ({
    ...fault,
    pointer: fault.pointer.replace(`${POINTER}/approval`, POINTER),
  }))
  return new VaultError(code, { message, fields, errors, cause: error })
}
