import type { Clock } from '../kernel/clock.ts'

/** AWS refuses signatures that are more than this far from its own clock. */
const TOLERATED_SKEW_MS = 5 * 60_000
const MAX_HOSTS = 1_000
const SKEW_CODES = /RequestTimeTooSkewed|RequestExpired|Signature (?:expired|not yet current)/

type Answer = { statusCode: number; headers: readonly (readonly [name: string, value: string])[]; body: Buffer }

/** How far each host's clock is from ours, learned from its refusals. Bounded; the oldest host is forgotten first. */
export type AwsClockSkew = {
  /** The time to sign with for this host, milliseconds since the Unix epoch. */
  signingTimeMs(host: string): number
  /**
   * True when the answer is a refusal for clock skew that corrects the offset of the host: the same request, signed anew,
   * may be sent once more, since AWS executed nothing. False for every other answer, also when the offset was right already.
   */
  learn(host: string, answer: Answer): boolean
}

export function createAwsClockSkew({ clock }: { clock: Pick<Clock, 'now'> }): AwsClockSkew {
  const offsets = new Map<string, number>()
  const signingTimeMs = (host: string) => clock.now() + (offsets.get(host) ?? 0)
  return {
    signingTimeMs,
    learn(host, { statusCode, headers, body }) {
      if (statusCode !== 403 && statusCode !== 400) return false
      const date = headers.find(([name]) => name === 'date')?.[1]
      const theirs = date === undefined ? Number.NaN : Date.parse(date)
      if (Number.isNaN(theirs) || Math.abs(theirs - signingTimeMs(host)) <= TOLERATED_SKEW_MS) return false
      const code = headers.find(([name]) => name === 'x-amzn-errortype')?.[1] ?? ''
      if (!SKEW_CODES.test(code) && !SKEW_CODES.test(body.toString('utf8', 0, 4_096))) return false
      offsets.delete(host)
      offsets.set(host, theirs - clock.now())
      if (offsets.size > MAX_HOSTS) offsets.delete(offsets.keys().next().value!)
      return true
    },
  }
}
