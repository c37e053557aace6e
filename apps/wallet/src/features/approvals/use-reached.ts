import { type RefObject, useEffect, useState } from 'react'
import { whenDrawn } from './use-armed.ts'

/** Marks the element that stands between the reader and what is above the lower edge of the window. */
export const BAR = 'data-decision-bar'

/**
 * True once the reader came to a place: it has been above the lower edge of the window, and above the bar that lies there. Stays true
 * while `key` stays.
 */
export function useReached(place: RefObject<HTMLElement | null>, key: string): boolean {
  const [reachedFor, setReachedFor] = useState<string | null>(null)
  const isReached = reachedFor === key

  useEffect(() => {
    if (isReached) return
    const look = () => {
      const { current } = place
      if (current === null) return
      const bar = document.querySelector(`[${BAR}]`)?.getBoundingClientRect().top ?? Number.POSITIVE_INFINITY
      if (current.getBoundingClientRect().bottom <= Math.min(window.innerHeight, bar)) setReachedFor(key)
    }
    const changes = new ResizeObserver(look)
    let gone = false
    void whenDrawn().then(() => {
      if (gone) return
      look()
      changes.observe(document.body)
      window.addEventListener('scroll', look, { passive: true })
      window.addEventListener('resize', look)
    })
    return () => {
      gone = true
      changes.disconnect()
      window.removeEventListener('scroll', look)
      window.removeEventListener('resize', look)
    }
  }, [place, key, isReached])

  return isReached
}
