import type { TimeWindowBody } from '@alter-vault/contracts'
import { compileWhen } from '../condition.ts'
import { deny, type EvaluateRule } from '../firing.ts'
import { compileOpeningTimes } from '../time-window.ts'

/** Denies outside the windows; always, when the time zone is not known on this machine. */
export function compileTimeWindow(body: TimeWindowBody): EvaluateRule {
  const times = compileOpeningTimes(body)
  const when = compileWhen(body.when ?? {})
  if (times === undefined) {
    const unknownZone = deny('timezone_unknown', `The time zone ${body.timezone} is not known on this server.`)
    return () => unknownZone
  }
  return (moment) => {
    const match = when(moment)
    if (match === false || times.isOpen(moment.atMs)) return null
    const denied = deny('outside_time_window', `Outside ${times.words}`, match)
    const retryableAtMs = times.nextOpening(moment.atMs)
    return retryableAtMs === undefined ? denied : { ...denied, retryableAtMs }
  }
}
