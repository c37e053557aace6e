import { useEffect, useState } from 'react'

/** How long buttons rest after what they decide on was drawn or changed. */
const REST_MS = 1_000
/** A font that does not arrive must not keep the buttons inert. */
const FONTS_MS = 3_000

const frame = () => new Promise((resolve) => requestAnimationFrame(resolve))
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const loaded = () =>
  document.readyState === 'complete'
    ? Promise.resolve()
    : new Promise<void>((resolve) => window.addEventListener('load', () => resolve(), { once: true }))

/** Resolves when the page was painted as it is meant to look: before its styles are there, everything stands elsewhere. */
export async function whenDrawn(): Promise<void> {
  await loaded()
  await Promise.race([document.fonts.ready, pause(FONTS_MS)])
  await frame()
  await frame()
}

/**
 * False until what `key` stands for has been painted with its fonts and left alone for a second; false again at once when `key`
 * changes or the window comes back to the reader. Stops clicks that were meant for something else: a page that slides under the
 * finger, a window that opens under a double click.
 */
export function useArmed(key: string): boolean {
  const [attention, setAttention] = useState(0)
  const [armedFor, setArmedFor] = useState<string | null>(null)
  const wanted = `${key} ${attention}`

  useEffect(() => {
    const cameBack = () => {
      if (document.visibilityState === 'visible') setAttention((count) => count + 1)
    }
    window.addEventListener('focus', cameBack)
    document.addEventListener('visibilitychange', cameBack)
    return () => {
      window.removeEventListener('focus', cameBack)
      document.removeEventListener('visibilitychange', cameBack)
    }
  }, [])

  useEffect(() => {
    let current = true
    const rest = async () => {
      await whenDrawn()
      await pause(REST_MS)
      if (current) setArmedFor(wanted)
    }
    void rest()
    return () => {
      current = false
    }
  }, [wanted])

  return armedFor === wanted
}
