import { expect, test } from 'vitest'
import { createAwsClockSkew } from './aws-clock-skew.ts'

const NOW = Date.UTC(2026, 0, 1)
const HOST = 'sqs.eu-west-1.amazonaws.com'

function refusal(offsetMs: number, body = '<Code>RequestTimeTooSkewed</Code>') {
  const date = new Date(NOW + offsetMs).toUTCString()
  return { statusCode: 403, headers: [['date', date]] as [string, string][], body: Buffer.from(body) }
}

test('a refusal for clock skew corrects the time of that host, once', () => {
  const skew = createAwsClockSkew({ clock: { now: () => NOW } })
  expect(skew.learn(HOST, refusal(10 * 60_000))).toBe(true)
  expect(skew.signingTimeMs(HOST)).toBe(NOW + 10 * 60_000)
  expect(skew.signingTimeMs('other.amazonaws.com')).toBe(NOW)
  expect(skew.learn(HOST, refusal(10 * 60_000))).toBe(false)
})

test('the error may be named in a header', () => {
  const skew = createAwsClockSkew({ clock: { now: () => NOW } })
  const answer = refusal(-10 * 60_000, '{}')
  answer.headers.push(['x-amzn-errortype', 'RequestExpired'])
  expect(skew.learn(HOST, answer)).toBe(true)
  expect(skew.signingTimeMs(HOST)).toBe(NOW - 10 * 60_000)
})

test.each([
  ['a skew that AWS tolerates', refusal(4 * 60_000)],
  ['another refusal, even with a strange date', refusal(10 * 60_000, '<Code>AccessDenied</Code>')],
  ['an answer that is no refusal', { ...refusal(10 * 60_000), statusCode: 200 }],
  ['an answer without a date', { ...refusal(10 * 60_000), headers: [] }],
])('%s changes nothing', (_, answer) => {
  const skew = createAwsClockSkew({ clock: { now: () => NOW } })
  expect(skew.learn(HOST, answer)).toBe(false)
  expect(skew.signingTimeMs(HOST)).toBe(NOW)
})
