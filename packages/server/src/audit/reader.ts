import type { CallerKind } from './audit-row.ts'

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
