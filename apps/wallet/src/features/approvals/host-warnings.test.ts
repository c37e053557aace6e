import { describe, expect, it } from 'vitest'
import { hostWarnings, mixedScripts } from './host-warnings.ts'

const https = { scheme: 'https' as const, host_unicode: null }

describe('host warnings', () => {
  it('has none for an ordinary host', () => expect(hostWarnings({ ...https, host: 'api.stripe.com' })).toEqual([]))

  it('flags punycode and says how it displays', () => {
    expect(hostWarnings({ ...https, host: 'xn--bcher-kva.example', host_unicode: 'bücher.example' })).toEqual([
      'This host is written in other letters. It displays as “bücher.example”, which may imitate another name.',
    ])
    expect(hostWarnings({ ...https, host: 'api.xn--zzzzzz.com' })[0]).toContain('punycode')
  })

  it('flags a name that mixes scripts', () => {
    const warnings = hostWarnings({ ...https, host: 'xn--strpe-p4d.com', host_unicode: 'strіpe.com' })
    expect(warnings).toHaveLength(2)
    expect(warnings[1]).toContain('Latin and Cyrillic')
  })

  it('flags bare addresses and missing encryption', () => {
    expect(hostWarnings({ scheme: 'http', host: '93.184.216.34', host_unicode: null })).toHaveLength(2)
    expect(hostWarnings({ ...https, host: '[2606:4700::1111]' })).toEqual(['This is a bare address, not a name.'])
  })

  it('lets scripts that one language writes together pass', () => {
    expect(mixedScripts('東京タワー')).toEqual([])
    expect(mixedScripts('東京tower')).toEqual(['Latin', 'Han'])
  })
})
