import type { RowDraft } from '../audit/index.ts'
import { type ChangeAuthor, changeRow } from '../management/index.ts'
import type { GrantView } from './grant.ts'

type Change = { field: string; from: string | null; to: string | null }

/** The audit row of a change of a grant: on whose behalf it is and what it leads to. */
export function grantEvent(
  author: ChangeAuthor,
  event: 'grant.created' | 'grant.updated' | 'grant.revoked',
  grant: GrantView,
  more: { changes?: readonly Change[]; reason?: string | null } = {},
): RowDraft {
  return changeRow(author, {
    event,
    type: 'grant',
    id: grant.grant_id,
    grantId: grant.grant_id,
    providerId: grant.provider_id,
    resourceKind: grant.grant_kind,
    principalType: grant.principal_type,
    principalId: grant.principal_id,
    ...(more.reason == null ? {} : { reason: more.reason }),
    ...(more.changes === undefined ? {} : { changes: more.changes }),
    detail: { grantLabel: grant.label },
  })
}
