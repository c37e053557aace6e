import { agoWords } from '@alter-vault/web-kit/quantity-words.ts'

const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'long' })
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const day = new Intl.DateTimeFormat(undefined, {
  weekday: 'short',
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
})

/** How long ago something was; the full time with zone on hover. */
export function Ago({ at, now }: { at: string; now: number }) {
  return (
    <time dateTime={at} title={full.format(new Date(at))}>
      {agoWords((now - Date.parse(at)) / 1_000)}
    </time>
  )
}

/** When something ends, in the reader's own time: the hour today, else the day too. */
export function Until({ at, now }: { at: string; now: number }) {
  const end = new Date(at)
  const isToday = end.toDateString() === new Date(now).toDateString()
  return (
    <time dateTime={at} title={full.format(end)}>
      {(isToday ? clock : day).format(end)}
    </time>
  )
}
