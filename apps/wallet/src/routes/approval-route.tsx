import type { ApiCall } from '@alter-vault/web-kit/api-client.ts'
import type { ApprovalLink } from '../features/approvals/approval-link.ts'
import { ApprovalScreen } from '../features/approvals/approval-screen.tsx'
import { ProblemPage } from '../features/approvals/problem-page.tsx'
import { LINK_PROBLEM } from '../features/approvals/problem-words.ts'

/** `/wallet/approvals/<id>#t=<token>`. Without a token nothing is asked of the vault. */
export function ApprovalRoute({ link, call }: { link: ApprovalLink; call: ApiCall }) {
  const { approvalId, token } = link
  return token === null ? (
    <ProblemPage problem={LINK_PROBLEM} />
  ) : (
    <ApprovalScreen call={call} link={{ approvalId, token }} />
  )
}
