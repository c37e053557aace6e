import type { ApiError } from '@alter-vault/web-kit/api-client.ts'

/** What went wrong, for a tired person: what happened, what did not, what to do. */
export type Problem = { title: string; sentences: string[]; requestId: string | null }

/* One answer for a missing, malformed, forged or foreign link: it must not help anyone who tries links. */
export const LINK_PROBLEM: Problem = {
  title: 'This link does not open a request',
  sentences: [
    'It may be incomplete, or belong to another installation. Open it again from the message in which you found it.',
    'Nothing was decided and nothing was sent.',
  ],
  requestId: null,
}

const NOTHING = 'Nothing was decided and nothing was sent.'

const READING: Record<string, Omit<Problem, 'requestId'>> = {
  rate_limit_exceeded: {
    title: 'Too many attempts',
    sentences: ['This page asks again in a moment.', NOTHING],
  },
  unreachable: {
    title: 'The vault does not answer',
    sentences: ['Check your connection. This page tries again by itself.', 'Opening this page decided nothing.'],
  },
}

/** Why the page could not be read for the first time. */
export function readingProblem(error: ApiError): Problem {
  if (error.status === 404) return { ...LINK_PROBLEM, requestId: error.requestId }
  const words = READING[error.code] ?? {
    title: 'The request cannot be shown now',
    sentences: ['The vault answered with an error. This page tries again by itself.', NOTHING],
  }
  return { ...words, requestId: error.requestId }
}

const DECIDING: Record<string, Omit<Problem, 'requestId'>> = {
  action_changed: {
    title: 'The request has changed',
    sentences: [
      'Your decision was for an older version and does not count. Read the new one and decide again.',
      'Nothing was sent.',
    ],
  },
  approval_already_decided: {
    title: 'This was already decided',
    sentences: ['Another decision stands. Yours changed nothing.'],
  },
  approval_expired: {
    title: 'The time is over',
    sentences: ['Nobody decided in time, so the request expired.', 'Nothing was sent.'],
  },
  reason_required: {
    title: 'A reason is needed',
    sentences: ['Write why, then decide again.', NOTHING],
  },
  sign_in_required: {
    title: 'Sign in to decide',
    sentences: ['This link only opens the page; deciding takes one of the named approvers, signed in.', NOTHING],
  },
  step_up_required: {
    title: 'Sign in again to decide',
    sentences: ['The rule asks for a fresh sign-in.', NOTHING],
  },
  rate_limit_exceeded: {
    title: 'Too many attempts',
    sentences: ['Wait a minute and decide again.', NOTHING],
  },
}

/** Why a decision was not taken. Without an answer of the vault nobody knows, and the words say so. */
export function decidingProblem(error: ApiError): Problem {
  const words = DECIDING[error.code]
  if (words) return { ...words, requestId: error.requestId }
  if (error.status === 404) return { ...LINK_PROBLEM, requestId: error.requestId }
  if (error.status >= 400 && error.status < 500) {
    return {
      title: 'The vault did not accept this decision',
      sentences: ['Load the page again and decide anew.', NOTHING],
      requestId: error.requestId,
    }
  }
  return {
    title: 'Nobody knows yet whether your decision arrived',
    sentences: ['The vault did not confirm it. Deciding the same again is safe: it counts once.'],
    requestId: error.requestId,
  }
}
