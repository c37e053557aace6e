import type { EndedApprovalPage } from '@alter-vault/contracts'
import type { IconName } from '@alter-vault/web-kit/icon.tsx'
import type { Tone } from '@alter-vault/web-kit/tone.ts'
import type { Choice } from './decide-approval.ts'

export type OutcomeWords = {
  tone: Exclude<Tone, 'plain' | 'shadow'>
  icon: IconName
  title: string
  sentences: string[]
}

const NOTHING_SENT = 'Nothing was sent.'

const WITHDRAWN: Record<NonNullable<EndedApprovalPage['outcome']['withdrawn_reason']>, string> = {
  cancelled: 'An operator cancelled the request.',
  grant_revoked: 'The access it needed was revoked.',
  agent_revoked: 'The agent that asked was revoked.',
  key_revoked: 'The key with which it was asked was revoked.',
  user_not_active: 'The person for whom the agent acts is no longer active.',
  app_archived: 'The app that asked was archived.',
}

/* Ends of an execution that come before the first byte leaves. Every other end may have reached the provider. */
const REFUSED_BEFORE_SENDING: Record<string, string> = {
  agent_inactive: 'The agent was paused before the request could be sent.',
  agent_revoked: 'The agent was revoked before the request could be sent.',
  app_archived: 'The app was archived before the request could be sent.',
  audit_unavailable: 'The vault could not write its record, and sends nothing without one.',
  blocked_destination: 'The destination is not one that the vault may reach.',
  credential_revoked: 'The provider no longer accepts the stored credential.',
  execution_window_ended: 'The vault could not send it in time after the approval.',
  grant_expired: 'The access it needed has expired.',
  grant_revoked: 'The access it needed was revoked.',
  ip_not_allowed: 'The key with which it was asked may no longer be used from there.',
  key_expired: 'The key with which it was asked has expired.',
  key_revoked: 'The key with which it was asked was revoked.',
  key_rotated_grace_expired: 'The key with which it was asked was replaced.',
  policy_changed: 'A rule was added or changed after the request was held.',
  policy_denied: 'A rule refuses it now.',
  policy_timeout: 'The rules could not be evaluated in time.',
  token_refresh_failed: 'The stored credential could not be renewed.',
  user_not_active: 'The person for whom the agent acts is no longer active.',
}

const UNCLEAR_AFTER_SENDING: Record<string, string> = {
  provider_timeout: 'The provider did not answer in time.',
  provider_unreachable: 'The connection to the provider failed.',
}

const CHECK_PROVIDER = 'It may have been carried out. Look at the provider before anyone asks again.'

type Decision = EndedApprovalPage['gates'][number]['decisions'][number]

/** Who a decision is from, as the subject of a sentence. `mine`: what the reader decided on this very page. */
export function deciderWords(decision: Pick<Decision, 'by' | 'decision'>, mine: Choice | null): string {
  if (decision.by.kind === 'link') return mine === decision.decision ? 'You' : 'Someone with this link'
  return decision.by.is_you ? 'You' : (decision.by.name ?? 'Another approver')
}

function standingDecision(page: EndedApprovalPage): Decision | undefined {
  const decisions = page.gates.flatMap((gate) => gate.decisions)
  const word = page.status === 'denied' ? 'deny' : 'approve'
  return decisions
    .filter(({ decision }) => decision === word)
    .sort((a, b) => a.decided_at.localeCompare(b.decided_at))
    .at(-1)
}

function failed(error: string): OutcomeWords {
  const code = error.split(':', 1)[0] ?? ''
  if (code === 'execution_outcome_unknown') {
    return {
      tone: 'wait',
      icon: 'question',
      title: 'Outcome unknown',
      sentences: ['The request left the vault, but the answer was lost.', CHECK_PROVIDER],
    }
  }
  const unclear = UNCLEAR_AFTER_SENDING[code]
  if (unclear)
    return { tone: 'wait', icon: 'warning', title: 'Approved, but no answer', sentences: [unclear, CHECK_PROVIDER] }
  const refused = REFUSED_BEFORE_SENDING[code]
  return refused
    ? { tone: 'stop', icon: 'cross', title: 'Approved, but not sent', sentences: [refused, NOTHING_SENT] }
    : {
        tone: 'stop',
        icon: 'cross',
        title: 'Approved, but it failed',
        sentences: ['The vault got no usable answer.', CHECK_PROVIDER],
      }
}

function executed(status: number | null): OutcomeWords {
  if (status === null || status < 400) {
    return {
      tone: 'go',
      icon: 'check',
      title: 'Approved and sent',
      sentences: [status === null ? 'The provider answered.' : `The provider answered ${status}.`],
    }
  }
  return {
    tone: 'wait',
    icon: 'warning',
    title: 'Sent, and the provider refused it',
    sentences: [`The provider answered ${status}. The vault does not send it again.`],
  }
}

/** What the page says after its gate ended. */
export function outcomeWords(page: EndedApprovalPage, mine: Choice | null): OutcomeWords {
  const { outcome } = page
  const standing = standingDecision(page)
  switch (page.status) {
    case 'denied': {
      if (outcome.withdrawn_reason) {
        return {
          tone: 'stop',
          icon: 'back',
          title: 'Withdrawn',
          sentences: [WITHDRAWN[outcome.withdrawn_reason], NOTHING_SENT],
        }
      }
      const by = standing ? deciderWords(standing, mine) : 'Another approver'
      return { tone: 'stop', icon: 'cross', title: `${by} denied this request`, sentences: [NOTHING_SENT] }
    }
    case 'expired':
      return {
        tone: 'stop',
        icon: 'clock',
        title: 'Nobody decided in time',
        sentences: ['The request expired.', NOTHING_SENT, 'To have it decided, the agent or app has to ask again.'],
      }
    case 'executed':
      return executed(outcome.status_code)
    case 'failed':
      return failed(outcome.execution_error ?? '')
    case 'executing':
      return {
        tone: 'info',
        icon: 'clock',
        title: 'Approved, being sent now',
        sentences: ['This page shows the answer when it is there.'],
      }
    case 'approved':
      return {
        tone: 'info',
        icon: 'check',
        title: 'Approved, about to be sent',
        sentences: ['This page shows what happens next.'],
      }
    case 'pending': {
      const left = page.gates.filter((gate) => gate.status === 'pending').length
      return {
        tone: 'wait',
        icon: 'pause',
        title: standing ? `${deciderWords(standing, mine)} approved this request` : 'Approved here',
        sentences: [
          left === 1 ? 'One other approval is still missing.' : `${left} other approvals are still missing.`,
          'Nothing is sent before all are given.',
        ],
      }
    }
  }
}

/** What became of the request, of which an ended page shows but one line. */
export const requestWords = (isErased: boolean): string =>
  isErased
    ? 'This link shows how the request ended. What would have been sent was erased: the vault no longer has it.'
    : 'This link shows how the request ended. What would have been sent is no longer shown here.'

/** Whether the page will still change by itself. */
export const isSettled = (page: EndedApprovalPage): boolean =>
  ['denied', 'expired', 'executed', 'failed'].includes(page.status)
