import type { ApiCall } from '@alter-vault/web-kit/api-client.ts'
import { readApprovalLink } from './features/approvals/approval-link.ts'
import { ApprovalRoute } from './routes/approval-route.tsx'
import { NothingHereRoute } from './routes/nothing-here-route.tsx'

type Props = { address: { pathname: string; hash: string }; call: ApiCall }

export function App({ address, call }: Props) {
  const link = readApprovalLink(address)
  return link ? <ApprovalRoute link={link} call={call} /> : <NothingHereRoute />
}
