import { expect, test } from 'vitest'
import { constantTimeEqual } from './constant-time.ts'

test.each([
  ['equal bytes', 'abc', 'abc', true],
  ['different bytes', 'abc', 'abd', false],
  ['a beginning', 'ab', 'abc', false],
  ['nothing and nothing', '', '', true],
])('%s', (_, a, b, expected) => {
  expect(constantTimeEqual(Buffer.from(a), Buffer.from(b))).toBe(expected)
})
