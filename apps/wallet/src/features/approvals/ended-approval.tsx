import type { EndedApprovalPage } from '@alter-vault/contracts'
import { classNames } from '@alter-vault/web-kit/class-names.ts'
import { Fact, Facts } from '@alter-vault/web-kit/facts.tsx'
import { Icon } from '@alter-vault/web-kit/icon.tsx'
import { Notice } from '@alter-vault/web-kit/notice.tsx'
import { durationWords } from '@alter-vault/web-kit/quantity-words.ts'
import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import { useEffect, useRef } from 'react'
import { BodyViewer } from './body-viewer.tsx'
import type { Choice } from './decide-approval.ts'
import styles from './ended-approval.module.css'
import { Ago } from './moment.tsx'
import { deciderWords, outcomeWords, requestWords } from './outcome-words.ts'
import { PageFrame } from './page-frame.tsx'
import { Section } from './section.tsx'
import smallPrint from './small-print.module.css'
import { useServerClock } from './use-server-clock.ts'

type Props = {
  page: EndedApprovalPage
  mine: Choice | null
  /** The page showed the request before it ended. */
  wasOpen: boolean
  stale: boolean
}

/** What was asked, in a line, and how it ended. No longer the request itself. */
export function EndedApproval({ page, mine, wasOpen, stale }: Props) {
  const now = useServerClock(page.server_now)
  const { outcome } = page
  const words = outcomeWords(page, mine)
  const decisions = page.gates.flatMap((gate) => gate.decisions)
  const title = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    if (wasOpen) title.current?.focus()
  }, [wasOpen])

  return (
    <PageFrame branding={page.branding}>
      <div className={styles.outcome}>
        <span className={classNames(styles.symbol, styles[words.tone])}>
          <Icon name={words.icon} size={28} />
        </span>
        <h1 className={styles.title} ref={title} tabIndex={-1}>
          <UntrustedText text={words.title} />
        </h1>
        <div className={styles.sentences} role="status">
          {words.sentences.map((sentence) => (
            <p key={sentence}>{sentence}</p>
          ))}
        </div>
        <p className={styles.action}>
          <UntrustedText text={page.action} />
        </p>
      </div>
      {stale && (
        <Notice tone="wait" icon="warning" title="The vault does not answer" role="status">
          <p>What you see may be old. This page tries again by itself.</p>
        </Notice>
      )}
      <Section title="What happened">
        <Facts>
          <Fact name="Asked by">
            {page.asked_by.agent === null ? 'App ' : 'Agent '}
            <UntrustedText text={page.asked_by.agent ?? page.asked_by.app} />, <Ago at={page.created_at} now={now} />
          </Fact>
          {decisions.map((decision) => (
            <Fact
              key={decision.decided_at + decision.by.name}
              name={decision.decision === 'approve' ? 'Approved' : 'Denied'}
            >
              <UntrustedText text={deciderWords(decision, mine)} />, <Ago at={decision.decided_at} now={now} />
            </Fact>
          ))}
          <Fact name="Reason given">
            {outcome.decision_reason !== null && outcome.withdrawn_reason === null && (
              <UntrustedText text={outcome.decision_reason} multiline />
            )}
          </Fact>
          <Fact name="Sent">{outcome.executed_at && <Ago at={outcome.executed_at} now={now} />}</Fact>
          <Fact name="Answer">{outcome.status_code}</Fact>
          <Fact name="Took">{outcome.duration_ms !== null && durationWords(outcome.duration_ms)}</Fact>
          <Fact name="Error">
            {outcome.execution_error !== null && (
              <code>
                <UntrustedText text={outcome.execution_error} />
              </code>
            )}
          </Fact>
          <Fact name="Approval">
            <span className={smallPrint.id}>{page.approval_id}</span>
          </Fact>
        </Facts>
        <p className={smallPrint.quiet}>{requestWords(outcome.request_erased)}</p>
      </Section>
      {outcome.answer_body && (
        <Section title="What the provider answered">
          <BodyViewer body={outcome.answer_body} loadWholeBody={null} />
        </Section>
      )}
    </PageFrame>
  )
}
