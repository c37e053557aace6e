import { useEffect, useState } from 'react'

/**
 * The server's time in milliseconds, ticking each second from its last answer by the monotonic clock: the reader's own clock may be
 * wrong or changed without moving a countdown.
 */
export function useServerClock(serverNow: string): number {
  const [base, setBase] = useState(() => ({ serverNow, at: performance.now() }))
  const [, tick] = useState(0)
  if (base.serverNow !== serverNow) setBase({ serverNow, at: performance.now() })
  useEffect(() => {
    const timer = window.setInterval(() => tick((count) => count + 1), 1_000)
    return () => window.clearInterval(timer)
  }, [])
  return Date.parse(base.serverNow) + (performance.now() - base.at)
}
