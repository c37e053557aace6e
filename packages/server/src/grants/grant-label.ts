import type { RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import { invalidField, VaultError } from '../kernel/vault-error.ts'
import type { EndedBy, Endings } from '../management/index.ts'
import { type GrantRow, grantState } from './grant.ts'
import { findNamesake } from './grant-store.ts'
import { endGrant } from './revoke-grant.ts'

/** A label without spaces around it; null for none. Refusal: `validation_failed`. */
export function parseLabel(label: string | null | undefined, pointer: string): string | null {
  if (label === null || label === undefined) return null
  const trimmed = label.trim()
  if (trimmed === '') throw invalidField(pointer, '"label" holds nothing but spaces.', 'too_short')
  return trimmed
}

/**
 * Makes a label free for a grant of one principal on one credential: a namesake that has expired is ended, a live one refuses.
 * The caller holds the app's lock. Refusal: `sibling_label_conflict`.
 */
export async function takeLabel(
  endings: Endings,
  tx: Tx,
  record: RecordEvent,
  of: Pick<GrantRow, 'credential_id' | 'principal_type' | 'principal_id' | 'label'>,
  by: EndedBy,
): Promise<void> {
  for (;;) {
    const namesake = await findNamesake(tx, by.app.appId, of)
    if (namesake === undefined) return
    if (grantState(namesake, by.at) !== 'expired') {
      throw new VaultError('sibling_label_conflict', {
        message:
          of.label === null
            ? 'This principal already holds a grant without a label on this credential. Choose a label.'
            : `This principal already holds a grant with the label "${of.label}" on this credential.`,
        fields: { label: of.label },
      })
    }
    await endGrant(endings, tx, record, namesake, by, 'expired')
  }
}
