import type { OpenApprovalPage } from '@alter-vault/contracts'
import { Button } from '@alter-vault/web-kit/button.tsx'
import { constants } from '@alter-vault/web-kit/generated/endpoints.ts'
import { Icon } from '@alter-vault/web-kit/icon.tsx'
import { Notice } from '@alter-vault/web-kit/notice.tsx'
import { sizeWords, timeLeftWords } from '@alter-vault/web-kit/quantity-words.ts'
import { TextArea } from '@alter-vault/web-kit/text-area.tsx'
import { UntrustedText } from '@alter-vault/web-kit/untrusted-text.tsx'
import { useEffect, useId, useRef, useState } from 'react'
import type { Choice } from './decide-approval.ts'
import styles from './decision-bar.module.css'
import { FirstValues } from './first-values.tsx'
import { ProblemNotice } from './problem-notice.tsx'
import { mayDecide, type OpenScreen } from './screen-state.ts'
import { useArmed } from './use-armed.ts'
import { BAR } from './use-reached.ts'

type Props = {
  screen: OpenScreen
  now: number
  /** The reader came to the end of what would be sent, and all of it is on the page. */
  isRead: boolean
  decide: (choice: Choice, actionHash: string, reason: string) => void
  showNewer: () => void
  readAgain: () => void
}

const LAST_MINUTE_SECONDS = 60

const needsReason = (mode: OpenApprovalPage['options']['decision_reason'], choice: Choice) =>
  mode === 'always' || (mode === 'on_deny' && choice === 'deny')

function Refusal({ page, approvers }: { page: OpenApprovalPage; approvers: readonly string[] }) {
  const { viewer, branding } = page
  switch (viewer.refusal) {
    case 'sign_in_required':
    case 'step_up_required':
      return (
        <Notice
          tone="info"
          icon="person"
          title={viewer.refusal === 'sign_in_required' ? 'Sign in to decide' : 'Sign in again to decide'}
        >
          <p>
            {viewer.refusal === 'step_up_required'
              ? 'The rule asks for a fresh sign-in.'
              : approvers.length > 0
                ? 'This link only opens the page. Deciding takes one of its approvers, signed in.'
                : 'This link only opens the page. Deciding takes someone signed in.'}
          </p>
          {viewer.sign_in_path ? (
            <p>
              <a href={viewer.sign_in_path} target="_blank" rel="noopener noreferrer">
                Sign in in a new tab
              </a>
              . This page notices when you have.
            </p>
          ) : (
            <p>
              Signing in is not set up on this page. Ask those who run <UntrustedText text={branding.display_name} />
              {branding.support_email && (
                <>
                  {' '}
                  (<UntrustedText text={branding.support_email} />)
                </>
              )}
              .
            </p>
          )}
        </Notice>
      )
    case 'not_an_approver':
      return (
        <Notice tone="info" icon="person" title="You are not one of its approvers">
          <p>You can read this request. Someone else decides it.</p>
        </Notice>
      )
    case 'approver_is_requester':
      return (
        <Notice tone="info" icon="person" title="You asked for this yourself">
          <p>Someone else must decide it.</p>
        </Notice>
      )
    default:
      return null
  }
}

function Recorded({ choice, approvals, quorum }: { choice: Choice; approvals: number; quorum: number }) {
  return (
    <Notice
      tone={choice === 'approve' ? 'go' : 'stop'}
      icon={choice === 'approve' ? 'check' : 'cross'}
      title={choice === 'approve' ? 'You approved this request' : 'You denied this request'}
      role="status"
    >
      {choice === 'approve' && approvals < quorum && (
        <p>
          {approvals} of {quorum} approvals are given. Nothing is sent before all are.
        </p>
      )}
    </Notice>
  )
}

/** The first values, the time left, the two answers, and whatever stands between the reader and them. Always in the same order. */
export function DecisionBar({ screen, now, isRead, decide, showNewer, readAgain }: Props) {
  const { page, sending, recorded, newer, problem, notice, stale } = screen
  const { options, viewer } = page
  const [reason, setReason] = useState('')
  const [reasonOpen, setReasonOpen] = useState(options.decision_reason === 'always')
  const [missingReason, setMissingReason] = useState(false)
  const reasonInput = useRef<HTMLTextAreaElement>(null)
  const unreadId = useId()

  const secondsLeft = (Date.parse(page.expires_at) - now) / 1_000
  const isOver = secondsLeft <= 0
  const armed = useArmed(`${page.action_hash} ${screen.revision} ${newer === null}`)
  const [unreadFor, setUnreadFor] = useState<string | null>(null)
  const mayApprove = isRead || unreadFor === page.action_hash
  const armedToApprove = useArmed(`${page.action_hash} ${mayApprove}`)
  const inert = !armed || isOver || !mayDecide(screen)
  const gate = page.gates.find(({ is_this }) => is_this)
  const decided = recorded?.choice ?? viewer.decision
  const canEverDecide = decided === null && viewer.refusal === null

  useEffect(() => {
    if (isOver) readAgain()
  }, [isOver, readAgain])

  /* Whoever opens the field is about to write in it: what they type must not go elsewhere. */
  useEffect(() => {
    if (reasonOpen && options.decision_reason !== 'always') reasonInput.current?.focus()
  }, [reasonOpen, options.decision_reason])

  useEffect(() => {
    if (missingReason) reasonInput.current?.focus()
  }, [missingReason])

  const choose = (choice: Choice) => {
    if (needsReason(options.decision_reason, choice) && reason.trim() === '') {
      setReasonOpen(true)
      setMissingReason(true)
      reasonInput.current?.focus()
      return
    }
    decide(choice, page.action_hash, reason)
  }

  return (
    <section className={styles.bar} aria-label="Your decision" {...{ [BAR]: true }}>
      <div className={styles.inner}>
        <p className={styles.only} role="status">
          {secondsLeft <= LAST_MINUTE_SECONDS && !isOver && 'One minute left to decide.'}
        </p>
        {problem && <ProblemNotice problem={problem} />}
        {newer && (
          <Notice tone="wait" icon="warning" title="What would be sent has changed" role="alert">
            <p>You still see the older version. It can no longer be decided.</p>
            <p>
              <Button onPress={showNewer}>Show the new version</Button>
            </p>
          </Notice>
        )}
        {notice && !newer && <Notice tone="info" icon="info" title={notice} role="status" />}
        {stale && (
          <Notice tone="wait" icon="warning" title="The vault does not answer" role="status">
            <p>What you see may be old. This page tries again by itself.</p>
          </Notice>
        )}
        {page.would_be_denied && canEverDecide && (
          <Notice tone="wait" icon="warning" title="Approving would not send it: current rules refuse it" />
        )}
        {decided !== null && (
          <Recorded
            choice={decided}
            approvals={recorded?.state.approvals ?? gate?.approvals ?? 0}
            quorum={recorded?.state.quorum ?? gate?.quorum ?? 1}
          />
        )}
        {decided === null && <Refusal page={page} approvers={gate?.approvers ?? []} />}
        {canEverDecide && <FirstValues request={page.request} />}
        {canEverDecide && isOver && (
          <p className={styles.time} role="status">
            <Icon name="clock" size={18} />
            The time is over
          </p>
        )}
        {canEverDecide && !isOver && (
          <>
            <div className={styles.top}>
              <span className={styles.time}>
                <Icon name="clock" size={18} />
                <span role="timer">{timeLeftWords(secondsLeft)} left</span>
              </span>
              {options.decision_reason !== 'always' && (
                <Button kind="quiet" expanded={reasonOpen} onPress={() => setReasonOpen(!reasonOpen)}>
                  {reasonOpen ? 'Hide the reason' : 'Add a reason'}
                </Button>
              )}
            </div>
            {reasonOpen && (
              <TextArea
                label="Your reason"
                help={
                  options.decision_reason === 'always'
                    ? 'Needed. The requester sees it.'
                    : options.decision_reason === 'on_deny'
                      ? 'Needed to deny. The requester sees it.'
                      : 'The requester sees it.'
                }
                value={reason}
                onChange={(value) => {
                  setReason(value)
                  setMissingReason(false)
                }}
                maxLength={constants.DECISION_REASON_MAX_CHARACTERS}
                error={missingReason ? 'Write why. Nothing was decided and nothing was sent.' : null}
                inputRef={reasonInput}
              />
            )}
            {!mayApprove && (
              <div className={styles.unread}>
                <p id={unreadId}>
                  {page.request.body.omitted_bytes > 0
                    ? `${sizeWords(page.request.body.omitted_bytes)} of the body are not shown on this page.`
                    : 'You have not come to the end of what will be sent.'}
                </p>
                <Button kind="quiet" onPress={() => setUnreadFor(page.action_hash)}>
                  Approve unread
                </Button>
              </div>
            )}
            <div className={styles.buttons}>
              <Button kind="stop" wide inert={inert} onPress={() => choose('deny')}>
                <Icon name="cross" />
                {sending === 'deny' ? 'Denying' : 'Deny'}
              </Button>
              <Button
                kind="go"
                wide
                inert={inert || !mayApprove || !armedToApprove}
                onPress={() => choose('approve')}
                {...(mayApprove ? {} : { describedBy: unreadId })}
              >
                <Icon name="check" />
                {sending === 'approve' ? 'Approving' : 'Approve'}
              </Button>
            </div>
          </>
        )}
      </div>
    </section>
  )
}
