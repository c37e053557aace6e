/*
 *            read 404                       read: same content, other progress (announced, buttons rest)
 *  opening ───────────▶ unopened             ┌──┐
 *     │  ╲ other error ▶ (tries again)       │  ▼   decide       ┌─────────┐
 *     │ read: open                          ┌──────┐ ─────────▶ │ sending │
 *     ├────────────────────────────────────▶│ open │ ◀───────── └─────────┘
 *     │                                     └──────┘   problem       │ accepted
 *     │                 show newer ▲  │ read: other content          ▼
 *     │                            └──┤ (newer kept aside,      recorded (no buttons, waits for the next read)
 *     │                               ▼  buttons inert)              │
 *     │ read: ended                 newer                            │
 *     └──────────────────────────────────────▶ ended ◀───────────────┘ (from anywhere)
 *
 * What is drawn changes under the reader's eyes only in ways that are announced; what would be sent changes only when asked for.
 */
import type { ApprovalPage, DecisionState, EndedApprovalPage, OpenApprovalPage } from '@alter-vault/contracts'
import type { ApiError } from '@alter-vault/web-kit/api-client.ts'
import type { Choice } from './decide-approval.ts'
import { decidingProblem, type Problem, readingProblem } from './problem-words.ts'

export type OpenScreen = {
  at: 'open'
  page: OpenApprovalPage
  /** A newer version of what would be sent, shown only when asked for. */
  newer: OpenApprovalPage | null
  /** What changed in place, announced to the reader. */
  notice: string | null
  sending: Choice | null
  recorded: { choice: Choice; state: DecisionState } | null
  problem: Problem | null
  /** The last read failed: what is shown may be old. */
  stale: boolean
  /** Grows with every change of what is drawn; the buttons rest after each. */
  revision: number
}

export type Screen =
  | { at: 'opening'; problem: Problem | null }
  | { at: 'unopened'; problem: Problem }
  | OpenScreen
  | { at: 'ended'; page: EndedApprovalPage; mine: Choice | null; stale: boolean }

export type ScreenEvent =
  | { type: 'read'; page: ApprovalPage }
  | { type: 'read_failed'; error: ApiError }
  | { type: 'newer_asked_for' }
  | { type: 'decision_sent'; choice: Choice }
  | { type: 'decision_accepted'; choice: Choice; state: DecisionState }
  | { type: 'decision_failed'; error: ApiError }

export const openingScreen: Screen = { at: 'opening', problem: null }

/** What a decision is about. Everything else of the page is progress. */
const contentOf = ({
  gates,
  viewer,
  status,
  gate_status,
  server_now,
  history,
  branding,
  options,
  ...content
}: OpenApprovalPage) => JSON.stringify(content)

const progressOf = ({ gates, viewer, status, gate_status, options }: OpenApprovalPage) =>
  JSON.stringify([gates, viewer, status, gate_status, options])

function progressNotice(before: OpenApprovalPage, after: OpenApprovalPage): string {
  const count = (page: OpenApprovalPage) => page.gates.reduce((sum, gate) => sum + gate.approvals, 0)
  if (count(after) > count(before)) return 'Someone approved this request while you were reading.'
  if (before.viewer.refusal && !after.viewer.refusal) return 'You may decide now.'
  if (after.viewer.decision && !before.viewer.decision) return 'Your decision is recorded.'
  return 'The state of this request changed while you were reading.'
}

const openScreen = (page: OpenApprovalPage, revision: number): OpenScreen => ({
  at: 'open',
  page,
  newer: null,
  notice: null,
  sending: null,
  recorded: null,
  problem: null,
  stale: false,
  revision,
})

function readWhileOpen(screen: OpenScreen, page: OpenApprovalPage): OpenScreen {
  if (contentOf(page) !== contentOf(screen.page)) return { ...screen, newer: page, stale: false }
  const moved = progressOf(page) !== progressOf(screen.page)
  return {
    ...screen,
    // The request is the same; its old object spares drawing it again, which takes long for a large body.
    page: { ...page, request: screen.page.request },
    newer: null,
    stale: false,
    notice: moved ? progressNotice(screen.page, page) : screen.notice,
    revision: moved || screen.newer ? screen.revision + 1 : screen.revision,
  }
}

const mineOf = (screen: Screen): Choice | null => {
  if (screen.at === 'ended') return screen.mine
  if (screen.at === 'open') return screen.recorded?.choice ?? screen.page.viewer.decision
  return null
}

/** The next screen. Pure; events that do not fit the screen leave it as it is. */
export function nextScreen(screen: Screen, event: ScreenEvent): Screen {
  switch (event.type) {
    case 'read':
      if (screen.at === 'unopened') return screen
      if (event.page.view === 'ended') return { at: 'ended', page: event.page, mine: mineOf(screen), stale: false }
      if (screen.at === 'ended') return screen
      return screen.at === 'open' ? readWhileOpen(screen, event.page) : openScreen(event.page, 0)

    case 'read_failed':
      if (event.error.status === 404) return { at: 'unopened', problem: readingProblem(event.error) }
      if (screen.at === 'opening') return { ...screen, problem: readingProblem(event.error) }
      return screen.at === 'unopened' ? screen : { ...screen, stale: true }

    case 'newer_asked_for':
      return screen.at === 'open' && screen.newer ? openScreen(screen.newer, screen.revision + 1) : screen

    case 'decision_sent':
      if (screen.at !== 'open' || screen.sending || screen.recorded) return screen
      return { ...screen, sending: event.choice, problem: null, notice: null }

    case 'decision_accepted':
      if (screen.at !== 'open') return screen
      return { ...screen, sending: null, recorded: { choice: event.choice, state: event.state } }

    case 'decision_failed':
      if (screen.at !== 'open') return screen
      return { ...screen, sending: null, problem: decidingProblem(event.error), revision: screen.revision + 1 }
  }
}

/** Whether a decision would be taken, apart from the rest that the buttons take after a change. */
export const mayDecide = (screen: OpenScreen): boolean =>
  !screen.sending && !screen.recorded && !screen.newer && !screen.page.viewer.refusal && !screen.page.viewer.decision
