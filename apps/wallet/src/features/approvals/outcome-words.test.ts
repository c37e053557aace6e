import type { EndedApprovalPage } from '@alter-vault/contracts'
import { describe, expect, it } from 'vitest'
import { isSettled, outcomeWords, requestWords } from './outcome-words.ts'

type Gate = EndedApprovalPage['gates'][number]

const gate = (about: Partial<Gate> = {}): Gate => ({
  gate_id: '3f0c6a52-6f57-4a4e-9f0d-0d3c5a2b7e11',
  is_this: true,
  status: 'approved',
  quorum: 1,
  approvals: 1,
  expires_at: '2026-03-02T12:00:00Z',
  approvers: [],
  decisions: [],
  ...about,
})

const decided = (decision: 'approve' | 'deny', by: Gate['decisions'][number]['by'], at = '2026-03-02T11:00:00Z') => ({
  decision,
  by,
  decided_at: at,
  reason: null,
})
const ann = { kind: 'member', name: 'Ann', is_you: false } as const
const holder = { kind: 'link', name: null, is_you: true } as const

function ended(
  status: EndedApprovalPage['status'],
  outcome: Partial<EndedApprovalPage['outcome']> = {},
  gates: Gate[] = [gate()],
): EndedApprovalPage {
  return {
    view: 'ended',
    approval_id: '3f0c6a52-6f57-4a4e-9f0d-0d3c5a2b7e11',
    approval_group_id: '7f0c6a52-6f57-4a4e-9f0d-0d3c5a2b7e11',
    status,
    gate_status: 'approved',
    gates,
    branding: { display_name: 'Acme', primary_color: null, background_color: null, support_email: null },
    created_at: '2026-03-02T10:00:00Z',
    expires_at: '2026-03-02T12:00:00Z',
    server_now: '2026-03-02T11:00:00Z',
    action: 'POST api.example.com/v1/refunds',
    asked_by: { app: 'Shop', agent: null },
    outcome: {
      decided_at: null,
      decision_reason: null,
      withdrawn_reason: null,
      executed_at: null,
      status_code: null,
      duration_ms: null,
      execution_error: null,
      request_erased: false,
      answer_body: null,
      ...outcome,
    },
  }
}

describe('outcome words', () => {
  it('say who denied, and that nothing was sent', () => {
    const words = outcomeWords(
      ended('denied', {}, [gate({ status: 'denied', decisions: [decided('deny', ann)] })]),
      null,
    )
    expect(words).toMatchObject({ tone: 'stop', title: 'Ann denied this request', sentences: ['Nothing was sent.'] })
  })

  it('say "you" of a link only where the decision was made on this page', () => {
    const page = ended('denied', {}, [gate({ status: 'denied', decisions: [decided('deny', holder)] })])
    expect(outcomeWords(page, 'deny').title).toBe('You denied this request')
    expect(outcomeWords(page, null).title).toBe('Someone with this link denied this request')
    expect(outcomeWords(page, 'approve').title).toBe('Someone with this link denied this request')
  })

  it('name the denial even when others approved later', () => {
    const decisions = [decided('deny', ann, '2026-03-02T11:00:00Z'), decided('approve', holder, '2026-03-02T11:00:01Z')]
    expect(outcomeWords(ended('denied', {}, [gate({ decisions })]), 'approve').title).toBe('Ann denied this request')
  })

  it('call a request withdrawn when nobody decided it', () => {
    expect(outcomeWords(ended('denied', { withdrawn_reason: 'grant_revoked' }), null)).toMatchObject({
      title: 'Withdrawn',
      sentences: ['The access it needed was revoked.', 'Nothing was sent.'],
    })
  })

  it('show the status of the provider, and warn about a refusal of its', () => {
    expect(outcomeWords(ended('executed', { status_code: 201 }), null)).toMatchObject({
      tone: 'go',
      sentences: ['The provider answered 201.'],
    })
    expect(outcomeWords(ended('executed', { status_code: 402 }), null)).toMatchObject({ tone: 'wait' })
  })

  it.each(['provider_timeout', 'provider_unreachable', 'execution_outcome_unknown: lease ended', 'something_new'])(
    'never claim that nothing was sent after %s',
    (execution_error) => {
      const { sentences } = outcomeWords(ended('failed', { execution_error }), null)
      expect(sentences.join(' ')).toContain('It may have been carried out')
      expect(sentences).not.toContain('Nothing was sent.')
    },
  )

  it('say that nothing was sent when the vault refused before sending', () => {
    expect(outcomeWords(ended('failed', { execution_error: 'policy_changed: rule added' }), null).sentences).toContain(
      'Nothing was sent.',
    )
  })

  it('count the approvals that are missing', () => {
    const page = ended('pending', {}, [
      gate({ decisions: [decided('approve', holder)] }),
      gate({ is_this: false, status: 'pending', approvals: 0 }),
    ])
    expect(outcomeWords(page, 'approve')).toMatchObject({
      title: 'You approved this request',
      sentences: ['One other approval is still missing.', 'Nothing is sent before all are given.'],
    })
  })

  it('settle exactly in the states that end a request', () => {
    const settled = (['pending', 'approved', 'denied', 'expired', 'executing', 'executed', 'failed'] as const).filter(
      (status) => isSettled(ended(status)),
    )
    expect(settled).toEqual(['denied', 'expired', 'executed', 'failed'])
  })
})

it('a request that was erased is not said to be only out of sight', () => {
  expect(requestWords(false)).toContain('no longer shown')
  expect(requestWords(true)).toContain('erased')
})
