import type { ApprovalPage } from '@alter-vault/contracts'
import type { ApiCall } from '@alter-vault/web-kit/api-client.ts'
import { constants, readApprovalPage } from '@alter-vault/web-kit/generated/endpoints.ts'

type Link = { approvalId: string; token: string }

/** Reads the page; with `wholeBody` its body content is never cut. */
export const readApproval = (
  call: ApiCall,
  { approvalId, token }: Link,
  { signal, wholeBody = false }: { signal?: AbortSignal; wholeBody?: boolean } = {},
): Promise<ApprovalPage> =>
  call(
    readApprovalPage,
    {
      params: { approval_id: approvalId },
      query: wholeBody ? { body: 'whole' } : {},
      headers: { [constants.LINK_TOKEN_HEADER]: token },
    },
    signal ? { signal } : {},
  )
