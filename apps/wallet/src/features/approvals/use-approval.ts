import { type ApiCall, ApiError } from '@alter-vault/web-kit/api-client.ts'
import { useCallback, useEffect, useRef, useState } from 'react'
import { type Choice, decideApproval } from './decide-approval.ts'
import { isSettled } from './outcome-words.ts'
import { readApproval } from './read-approval.ts'
import { nextScreen, openingScreen, type Screen, type ScreenEvent } from './screen-state.ts'

const READ_AGAIN_MS = 4_000
const READ_OUTCOME_MS = 1_500
const SLOWEST_MS = 30_000

type Link = { approvalId: string; token: string }

function waitAfter(screen: Screen, failures: number, error: ApiError | null): number {
  if (failures > 0) {
    return Math.max((error?.retryAfterSeconds ?? 0) * 1_000, Math.min(SLOWEST_MS, READ_AGAIN_MS * 2 ** (failures - 1)))
  }
  return screen.at === 'ended' || (screen.at === 'open' && screen.recorded) ? READ_OUTCOME_MS : READ_AGAIN_MS
}

const asApiError = (error: unknown): ApiError =>
  error instanceof ApiError
    ? error
    : new ApiError('unreadable_answer', 'The page could not read the answer', { cause: error })

/** The state of one approval, read again while it can change and the page is looked at, and the way to decide it. */
export function useApproval(call: ApiCall, { approvalId, token }: Link) {
  const [screen, setScreen] = useState(openingScreen)
  const latest = useRef(openingScreen)
  const dispatch = useCallback((event: ScreenEvent) => {
    latest.current = nextScreen(latest.current, event)
    setScreen(latest.current)
  }, [])
  const readNow = useRef<() => void>(() => undefined)

  useEffect(() => {
    const leaving = new AbortController()
    let timer: number | undefined
    let failures = 0
    let reading = false
    let readOnceMore = false

    const isDone = () =>
      latest.current.at === 'unopened' || (latest.current.at === 'ended' && isSettled(latest.current.page))

    const read = async () => {
      window.clearTimeout(timer)
      if (reading) {
        readOnceMore = true
        return
      }
      reading = true
      let failure: ApiError | null = null
      try {
        const page = await readApproval(call, { approvalId, token }, { signal: leaving.signal })
        failures = 0
        dispatch({ type: 'read', page })
      } catch (error) {
        if (leaving.signal.aborted) return
        failures += 1
        failure = asApiError(error)
        dispatch({ type: 'read_failed', error: failure })
      }
      reading = false
      const wait = readOnceMore ? 0 : waitAfter(latest.current, failures, failure)
      readOnceMore = false
      timer = window.setTimeout(() => {
        if (!isDone() && document.visibilityState === 'visible') void read()
      }, wait)
    }

    const cameBack = () => {
      if (document.visibilityState === 'visible' && !isDone()) void read()
    }
    readNow.current = () => void read()
    document.addEventListener('visibilitychange', cameBack)
    void read()
    return () => {
      leaving.abort()
      window.clearTimeout(timer)
      document.removeEventListener('visibilitychange', cameBack)
    }
  }, [call, approvalId, token, dispatch])

  const decide = useCallback(
    async (choice: Choice, actionHash: string, reason: string) => {
      dispatch({ type: 'decision_sent', choice })
      try {
        const state = await decideApproval(call, { approvalId, token }, { choice, actionHash, reason })
        dispatch({ type: 'decision_accepted', choice, state })
      } catch (error) {
        dispatch({ type: 'decision_failed', error: asApiError(error) })
      }
      readNow.current()
    },
    [call, approvalId, token, dispatch],
  )

  const showNewer = useCallback(() => dispatch({ type: 'newer_asked_for' }), [dispatch])
  const readAgain = useCallback(() => readNow.current(), [])
  return { screen, decide, showNewer, readAgain }
}
