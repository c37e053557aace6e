import type { ApiCall } from '@alter-vault/web-kit/api-client.ts'
import { useCallback, useEffect, useRef } from 'react'
import { EndedApproval } from './ended-approval.tsx'
import { OpenApproval } from './open-approval.tsx'
import { OpeningPage } from './opening-page.tsx'
import { ProblemPage } from './problem-page.tsx'
import { readApproval } from './read-approval.ts'
import type { Screen } from './screen-state.ts'
import { useApproval } from './use-approval.ts'

const TITLES: Record<Screen['at'], string> = {
  opening: 'Alter Vault',
  unopened: 'Link not opened · Alter Vault',
  open: 'Approve or deny · Alter Vault',
  ended: 'Request ended · Alter Vault',
}

/** The decision page of one approval, whatever its state. */
export function ApprovalScreen({ call, link }: { call: ApiCall; link: { approvalId: string; token: string } }) {
  const { screen, decide, showNewer, readAgain } = useApproval(call, link)
  const { approvalId, token } = link
  const loadWholeBody = useCallback(async () => {
    const page = await readApproval(call, { approvalId, token }, { wholeBody: true })
    if (page.view !== 'open') throw new Error('the request is no longer shown')
    return page.request.body
  }, [call, approvalId, token])
  const wasOpen = useRef(false)
  if (screen.at === 'open') wasOpen.current = true

  useEffect(() => {
    document.title = TITLES[screen.at]
  }, [screen.at])

  switch (screen.at) {
    case 'opening':
      return screen.problem ? <ProblemPage problem={screen.problem} /> : <OpeningPage />
    case 'unopened':
      return <ProblemPage problem={screen.problem} />
    case 'ended':
      return <EndedApproval page={screen.page} mine={screen.mine} wasOpen={wasOpen.current} stale={screen.stale} />
    case 'open':
      return (
        <OpenApproval
          screen={screen}
          decide={decide}
          showNewer={showNewer}
          readAgain={readAgain}
          loadWholeBody={loadWholeBody}
        />
      )
  }
}
