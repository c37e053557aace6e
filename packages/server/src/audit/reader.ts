import type { CallerKind, RowDetail, RowDraft } from './audit-row.ts'

/** How a member came to call: what rows say of it, and whether a person sits before it. */
export type Session = Readonly<{ callerKind: CallerKind; initiator: string; inPerson: boolean }>

/** The member who reads the log, as far as its rows name them. */
export type Reader = {
  organizationId: string
  memberId: string
  session: Session
  clientIp: string
  userAgent: string | null
}

/** Who read, and what. */
export const readerRow = (
  { memberId, session, clientIp, userAgent }: Reader,
  detail: RowDetail,
): Pick<RowDraft, 'callerKind' | 'memberId' | 'detail'> => ({
  callerKind: session.callerKind,
  memberId,
  detail: { clientIp, userAgent, initiator: session.initiator, ...detail },
})
