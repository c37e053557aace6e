const MINUTE = 60
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** A countdown for someone who must act: `59:03` under an hour, then `2 h 05 min`, then `3 days`. Never below `0:00`. */
export function timeLeftWords(secondsLeft: number): string {
  const seconds = Math.max(0, Math.floor(secondsLeft))
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)}:${String(seconds % MINUTE).padStart(2, '0')}`
  if (seconds < 2 * DAY) {
    return `${Math.floor(seconds / HOUR)} h ${String(Math.floor((seconds % HOUR) / MINUTE)).padStart(2, '0')} min`
  }
  return `${Math.floor(seconds / DAY)} days`
}

/** How long ago something was, as a person says it. What lies in the future counts as now. */
export function agoWords(secondsAgo: number): string {
  if (secondsAgo < MINUTE) return 'just now'
  if (secondsAgo < HOUR) return `${Math.floor(secondsAgo / MINUTE)} min ago`
  if (secondsAgo < DAY) return `${Math.floor(secondsAgo / HOUR)} h ago`
  const days = Math.floor(secondsAgo / DAY)
  return days === 1 ? 'yesterday' : `${days} days ago`
}

/** `85 ms`, `1.2 s`, `2 min 05 s`. */
export function durationWords(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`
  const seconds = milliseconds / 1_000
  if (seconds < MINUTE) return `${seconds.toFixed(1)} s`
  return `${Math.floor(seconds / MINUTE)} min ${String(Math.floor(seconds % MINUTE)).padStart(2, '0')} s`
}

/** `412 bytes`, `64.0 KiB`, `1.0 MiB`. */
export function sizeWords(bytes: number): string {
  if (bytes < 1_024) return bytes === 1 ? '1 byte' : `${bytes} bytes`
  if (bytes < 1_048_576) return `${(bytes / 1_024).toFixed(1)} KiB`
  return `${(bytes / 1_048_576).toFixed(1)} MiB`
}
