import { expect, test } from 'vitest'
import { parseRequestMethod } from './request-method.ts'

test.each([
  ['get', 'GET'],
  ['PATCH', 'PATCH'],
  ['brew', 'BREW'],
  ['M-SEARCH', 'M-SEARCH'],
])('the method %s is sent as %s', (given, sent) => {
  expect(parseRequestMethod(given)).toBe(sent)
})

test.each(['CONNECT', 'trace', '', 'GET ', 'GET\r\nX: 1', 'GÉT', 'X'.repeat(33)])(
  'the method %j is refused',
  (given) => {
    expect(() => parseRequestMethod(given)).toThrow(
      expect.objectContaining({ code: 'validation_failed', errors: [expect.objectContaining({ pointer: '/method' })] }),
    )
  },
)
