import { Badge } from '@alter-vault/web-kit/badge.tsx'
import { Notice } from '@alter-vault/web-kit/notice.tsx'
import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import { useEffect, useMemo, useRef } from 'react'
import { ActionLine } from './action-line.tsx'
import type { Choice } from './decide-approval.ts'
import { DecisionBar } from './decision-bar.tsx'
import type { LoadWholeBody } from './download-body.tsx'
import { PageFrame } from './page-frame.tsx'
import { QuotedReason } from './quoted-reason.tsx'
import { RequestDetails } from './request-details.tsx'
import type { OpenScreen } from './screen-state.ts'
import styles from './small-print.module.css'
import { useReached } from './use-reached.ts'
import { useServerClock } from './use-server-clock.ts'
import { WhoAsks } from './who-asks.tsx'
import { WhyHeld } from './why-held.tsx'

type Props = {
  screen: OpenScreen
  decide: (choice: Choice, actionHash: string, reason: string) => void
  showNewer: () => void
  readAgain: () => void
  loadWholeBody: LoadWholeBody
}

/** The request that waits, in its fixed order: what, exactly what is sent, the requester's words, who, with what, why, the answers. */
export function OpenApproval({ screen, decide, showNewer, readAgain, loadWholeBody }: Props) {
  const { page } = screen
  const now = useServerClock(page.server_now)
  const title = useRef<HTMLHeadingElement>(null)
  const shownHash = useRef(page.action_hash)
  useEffect(() => {
    if (shownHash.current !== page.action_hash) title.current?.focus()
    shownHash.current = page.action_hash
  }, [page.action_hash])

  const end = useRef<HTMLDivElement>(null)
  const reached = useReached(end, page.action_hash)
  const endMark = useMemo(() => <div ref={end} data-end-of-request />, [])

  return (
    <PageFrame
      branding={page.branding}
      below={
        <DecisionBar
          screen={screen}
          now={now}
          isRead={reached && page.request.body.omitted_bytes === 0}
          decide={decide}
          showNewer={showNewer}
          readAgain={readAgain}
        />
      }
    >
      <div>
        <Badge tone="wait" icon="pause">
          Waits for a decision
        </Badge>
      </div>
      <ActionLine
        request={page.request}
        requester={page.requester}
        credential={page.credential}
        meaning={page.meaning}
        titleRef={title}
      />
      {page.would_be_denied && (
        <Notice tone="wait" icon="warning" title="Current rules would refuse this even when approved">
          <ul>
            {page.would_be_denied.reasons.map((reason) => (
              <li key={reason.code + reason.rule_name}>
                <UntrustedText text={reason.message} />
                {reason.rule_name && (
                  <span className={styles.quiet}>
                    {' '}
                    (rule <UntrustedText text={reason.rule_name} />)
                  </span>
                )}
              </li>
            ))}
          </ul>
        </Notice>
      )}
      {page.options.identical_waiting && (
        <Notice tone="info" icon="info" title="An identical request waits too">
          <p>Each is decided and sent by itself. Approving both sends it twice.</p>
        </Notice>
      )}
      <RequestDetails
        request={page.request}
        actionHash={page.action_hash}
        loadWholeBody={loadWholeBody}
        end={endMark}
      />
      <QuotedReason reason={page.reason} />
      <WhoAsks requester={page.requester} />
      <WhyHeld page={page} now={now} />
    </PageFrame>
  )
}
