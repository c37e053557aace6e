import type { Database } from '../db/database.ts'
import { isUuid } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type Gate, type Group, windowEnded } from './approval.ts'
import type { ApprovalLinks } from './approval-link.ts'
import { findAppOfApproval, findGroup, findGroupId } from './approval-store.ts'

/** The group and gate that a link opens, and the database's clock. */
export type OpenedApproval = { group: Group; gate: Gate; now: Date }
export type OpenApprovalByLink = (approvalId: string, token: string) => Promise<OpenedApproval>

type Deps = {
  db: Pick<Database, 'unscoped' | 'readForApp'>
  links: Pick<ApprovalLinks, 'isGenuine'>
  expireIfDue: (appId: string, approvalGroupId: string) => Promise<void>
}

/** An id that is unknown or none, and a token that is forged, malformed or of another approval: one answer for all. */
const notFound = () => new VaultError('approval_not_found')

/** Opens what a link points to. A window that has ended is ended here and now, so nobody is shown a request too late. */
export function createOpenApproval({ db, links, expireIfDue }: Deps): OpenApprovalByLink {
  const read = (appId: string, approvalId: string) =>
    db.readForApp(appId, async (tx) => {
      const groupId = await findGroupId(tx, appId, approvalId)
      const held = groupId === undefined ? undefined : await findGroup(tx, appId, groupId)
      const gate = held?.group.gates.find((one) => one.approvalId === approvalId)
      if (held === undefined || gate === undefined) throw notFound()
      return { ...held, gate }
    })

  return async function openApproval(approvalId, token) {
    if (!isUuid(approvalId)) throw notFound()
    const appId = await db.unscoped((tx) => findAppOfApproval(tx, approvalId))
    if (appId === undefined) throw notFound()
    const opened = await read(appId, approvalId)
    if (!links.isGenuine(opened.gate, token)) throw notFound()
    if (!windowEnded(opened.group, opened.now)) return opened
    await expireIfDue(appId, opened.group.approvalGroupId)
    return read(appId, approvalId)
  }
}
