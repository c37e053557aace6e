import { describe, expect, test } from 'vitest'
import { compileHostPattern, isHostPattern } from './host-pattern.ts'

describe('host pattern', () => {
  test.each([
    ['api.example.com', 'api.example.com', true],
    ['API.Example.com', 'api.example.com', true],
    ['api.example.com', 'x.api.example.com', false],
    ['*.example.com', 'api.example.com', true],
    ['*.example.com', 'a.b.example.com', true],
    ['*.example.com', 'example.com', false],
    ['*.example.com', 'evilexample.com', false],
    ['*.example.com', '.example.com', false],
    ['*.example.com', 'api.example.com.evil.com', false],
    ['::1', '[::1]', true],
    ['[::1]', '[::1]', true],
  ])('%s against %s is %s', (pattern, host, expected) => {
    expect(isHostPattern(pattern)).toBe(true)
    expect(compileHostPattern(pattern)(host)).toBe(expected)
  })

  test.each([
    '',
    '*',
    '*.',
    '**.example.com',
    'a.*.com',
    'https://a.com',
    'a.com:443',
    'a.com/',
    '*.1.2.3.4',
    'a..com',
    'a b',
  ])('%s is none', (pattern) => {
    expect(isHostPattern(pattern)).toBe(false)
  })
})
