/** What the address of the page says: which approval, and the token that opens it (null when the fragment has none). */
export type ApprovalLink = { approvalId: string; token: string | null }

/** Reads `/wallet/approvals/<id>#t=<token>`. Undefined for every other path. */
export function readApprovalLink({ pathname, hash }: { pathname: string; hash: string }): ApprovalLink | undefined {
  const approvalId = /^\/wallet\/approvals\/([^/]+)\/?$/.exec(pathname)?.[1]
  if (!approvalId) return undefined
  return { approvalId, token: new URLSearchParams(hash.slice(1)).get('t') || null }
}
