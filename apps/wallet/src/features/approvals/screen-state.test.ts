import type { EndedApprovalPage, OpenApprovalPage } from '@alter-vault/contracts'
import { ApiError } from '@alter-vault/web-kit/api-client.ts'
import { describe, expect, it } from 'vitest'
import { mayDecide, nextScreen, type OpenScreen, openingScreen, type Screen, type ScreenEvent } from './screen-state.ts'

const viewer: OpenApprovalPage['viewer'] = {
  by: { kind: 'link', name: null, is_you: true },
  decision: null,
  refusal: null,
  sign_in_path: null,
}

/* The state machine compares pages and looks at few members; the rest of a page does not matter here. */
const open = (about: Partial<OpenApprovalPage> = {}) =>
  ({
    view: 'open',
    status: 'pending',
    gate_status: 'pending',
    action_hash: 'a'.repeat(64),
    gates: [{ approvals: 0 }],
    viewer,
    server_now: '2026-03-02T10:00:00Z',
    options: { identical_waiting: false },
    ...about,
  }) as OpenApprovalPage
const ended = { view: 'ended', status: 'denied' } as EndedApprovalPage
const state = { approval_id: 'x' } as Extract<ScreenEvent, { type: 'decision_accepted' }>['state']

const after = (...events: ScreenEvent[]): Screen => events.reduce(nextScreen, openingScreen)
const read = (page: OpenApprovalPage | EndedApprovalPage): ScreenEvent => ({ type: 'read', page })
const asOpen = (screen: Screen): OpenScreen => {
  if (screen.at !== 'open') throw new Error(`expected an open screen, not ${screen.at}`)
  return screen
}

describe('screen state', () => {
  it('opens with buttons that may decide', () => {
    expect(mayDecide(asOpen(after(read(open()))))).toBe(true)
  })

  it('does not rest the buttons again when only the clock moved on', () => {
    const screen = asOpen(after(read(open()), read(open({ server_now: '2026-03-02T10:00:04Z' }))))
    expect(screen).toMatchObject({ revision: 0, notice: null, newer: null })
    expect(screen.page.server_now).toBe('2026-03-02T10:00:04Z')
  })

  it.each<[string, Partial<OpenApprovalPage>]>([
    ['the frozen action', { action_hash: 'b'.repeat(64) }],
    ['the request', { request: { method: 'DELETE' } as OpenApprovalPage['request'] }],
    ['the reason', { reason: 'something else' }],
    [
      'what current policy says',
      { would_be_denied: { reasons: [{ code: 'policy_denied', message: 'no', rule_name: null }] } },
    ],
  ])('keeps a change of %s aside, and lets nobody decide until it is shown', (_what, change) => {
    const screen = asOpen(after(read(open()), read(open(change))))
    expect(screen.page).toEqual(open())
    expect(screen.newer).toEqual(open(change))
    expect(mayDecide(screen)).toBe(false)
    const shown = asOpen(nextScreen(screen, { type: 'newer_asked_for' }))
    expect(shown).toMatchObject({ newer: null, revision: 1 })
    expect(shown.page).toEqual(open(change))
  })

  it('announces the progress of others and rests the buttons', () => {
    const screen = asOpen(after(read(open()), read(open({ gates: [{ approvals: 1 }] as OpenApprovalPage['gates'] }))))
    expect(screen).toMatchObject({ revision: 1, notice: 'Someone approved this request while you were reading.' })
  })

  it('takes one decision at a time', () => {
    const sending = asOpen(after(read(open()), { type: 'decision_sent', choice: 'approve' }))
    expect(mayDecide(sending)).toBe(false)
    expect(nextScreen(sending, { type: 'decision_sent', choice: 'deny' })).toBe(sending)
  })

  it('offers no second decision while it waits for the outcome of the first', () => {
    const recorded = asOpen(
      after(
        read(open()),
        { type: 'decision_sent', choice: 'approve' },
        { type: 'decision_accepted', choice: 'approve', state },
      ),
    )
    expect(mayDecide(recorded)).toBe(false)
    expect(mayDecide(asOpen(nextScreen(recorded, read(open()))))).toBe(false)
  })

  it('remembers on the outcome what was decided on this page', () => {
    const screen = after(
      read(open()),
      { type: 'decision_sent', choice: 'deny' },
      { type: 'decision_accepted', choice: 'deny', state },
      read(ended),
    )
    expect(screen).toMatchObject({ at: 'ended', mine: 'deny' })
    expect(after(read(open()), read(ended))).toMatchObject({ at: 'ended', mine: null })
  })

  it('never goes back from the outcome to the request', () => {
    const screen = after(read(open()), read(ended))
    expect(nextScreen(screen, read(open()))).toBe(screen)
  })

  it('offers the buttons again, after a rest, when a decision was not taken', () => {
    const failed = asOpen(
      after(
        read(open()),
        { type: 'decision_sent', choice: 'approve' },
        { type: 'decision_failed', error: new ApiError('unreachable', '') },
      ),
    )
    expect(failed.revision).toBe(1)
    expect(mayDecide(failed)).toBe(true)
    expect(failed.problem?.title).toBe('Nobody knows yet whether your decision arrived')
  })

  it('answers every link that does not open with one problem', () => {
    const notFound = new ApiError('approval_not_found', '', { status: 404, requestId: 'req_1' })
    expect(after({ type: 'read_failed', error: notFound })).toMatchObject({
      at: 'unopened',
      problem: { title: 'This link does not open a request', requestId: 'req_1' },
    })
  })

  it('keeps what it shows when a later read fails, and says that it may be old', () => {
    const screen = asOpen(after(read(open()), { type: 'read_failed', error: new ApiError('unreachable', '') }))
    expect(screen.stale).toBe(true)
    expect(asOpen(nextScreen(screen, read(open()))).stale).toBe(false)
  })
})
