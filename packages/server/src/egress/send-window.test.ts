import { expect, test } from 'vitest'
import { openSendWindow } from './send-window.ts'

function handClock() {
  const time = { wall: 1_000_000, monotonic: 500 }
  return { time, clock: { now: () => time.wall, monotonic: () => time.monotonic } }
}

test('a send window is open for two seconds by both clocks', () => {
  const { time, clock } = handClock()
  const window = openSendWindow(clock)
  expect(window.isOpen()).toBe(true)
  time.wall += 1_999
  time.monotonic += 1_999
  expect([window.isOpen(), window.remainingMs()]).toEqual([true, 1])
  time.wall += 1
  time.monotonic += 1
  expect([window.isOpen(), window.remainingMs()]).toEqual([false, 0])
})

test.each([
  ['the process slept, which stops the monotonic clock', 2_000, 10],
  ['the wall clock was set, which the monotonic clock does not see', 3_600_000, 10],
  ['the wall clock went back, so it says nothing', -1, 10],
  ['the monotonic clock alone has passed the end', 10, 2_000],
])('a send window is closed when %s', (_, wallMs, monotonicMs) => {
  const { time, clock } = handClock()
  const window = openSendWindow(clock)
  time.wall += wallMs
  time.monotonic += monotonicMs
  expect(window.isOpen()).toBe(false)
})
