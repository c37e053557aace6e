import { describe, expect, test, vi } from 'vitest'
import { createAddressGuard, type Resolve } from './address-guard.ts'
import { canonicalUrl } from './canonical-url.ts'
import { UpstreamError } from './upstream-error.ts'

const NONE: ReadonlySet<string> = new Set()
const PUBLIC = { address: '93.184.215.14', family: 4 }

function answering(...addresses: string[]): Resolve {
  return async () => addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
}

const refused = expect.objectContaining({ code: 'blocked_destination', status: 422 })

describe('the address guard', () => {
  test('answers the first address the name resolves to', async () => {
    const { guard } = createAddressGuard({ resolve: answering('2606:4700::1111', '93.184.215.14') })
    const checked = await guard(canonicalUrl('https://api.example.com/'), NONE)
    expect(checked).toEqual({ address: '2606:4700::1111', family: 6 })
  })

  test.each([
    ['loopback', '127.0.0.1'],
    ['another loopback address', '127.8.9.10'],
    ['the metadata service', '169.254.169.254'],
    ['the IPv6 metadata service', 'fd00:ec2::254'],
    ['a private address', '10.1.2.3'],
    ['this network', '0.0.0.0'],
    ['IPv6 loopback', '::1'],
    ['an IPv4-mapped address', '::ffff:127.0.0.1'],
    ['NAT64 of a private address', '64:ff9b::10.0.0.1'],
    ['6to4 of loopback', '2002:7f00:1::'],
    ['link-local', 'fe80::1'],
    ['text that is no address', 'localhost'],
  ])('refuses a name that resolves to %s', async (_, address) => {
    const { guard } = createAddressGuard({ resolve: answering(address) })
    await expect(guard(canonicalUrl('https://api.example.com/'), NONE)).rejects.toEqual(refused)
  })

  test('refuses when one answer of several is bad, wherever it stands', async () => {
    for (const answers of [
      ['127.0.0.1', '93.184.215.14'],
      ['93.184.215.14', '127.0.0.1'],
    ]) {
      const { guard } = createAddressGuard({ resolve: answering(...answers) })
      await expect(guard(canonicalUrl('https://api.example.com/'), NONE)).rejects.toEqual(refused)
    }
  })

  test.each([
    'https://127.0.0.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0177.0.0.1/',
    'https://127.1/',
    'https://0/',
    'https://１２７.０.０.１/',
    'https://169.254.169.254/latest/meta-data/',
    'https://0xA9FEA9FE/',
    'https://[::1]/',
    'https://[::]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:a9fe:a9fe]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[fe80::1]/',
  ])('refuses the literal %s without asking the resolver', async (url) => {
    const resolve = vi.fn(answering('93.184.215.14'))
    const { guard } = createAddressGuard({ resolve })
    await expect(guard(canonicalUrl(url), NONE)).rejects.toEqual(refused)
    expect(resolve).not.toHaveBeenCalled()
  })

  test('tells the caller neither the address nor its range, and the log both', async () => {
    const { guard } = createAddressGuard({ resolve: answering('10.20.30.40') })
    const error = await guard(canonicalUrl('https://api.example.com/'), NONE).catch((one) => one)
    expect(JSON.stringify([error.message, error.fields])).not.toMatch(/10\.20|private"/)
    expect(error.log).toEqual({ address: '10.20.30.40', range: 'private' })
  })

  test('passes a private host and port that an operator allowed, over http too', async () => {
    const { guard } = createAddressGuard({ resolve: answering('127.0.0.1') })
    const allowed = new Set(['provider.test:4000'])
    const checked = await guard(canonicalUrl('http://provider.test:4000/'), allowed)
    expect(checked).toEqual({ address: '127.0.0.1', family: 4 })
    await expect(guard(canonicalUrl('http://provider.test:4001/'), allowed)).rejects.toEqual(refused)
    await expect(guard(canonicalUrl('https://other.test:4000/'), allowed)).rejects.toEqual(refused)
  })

  test('refuses http to a public host', async () => {
    const { guard } = createAddressGuard({ resolve: answering('93.184.215.14') })
    await expect(guard(canonicalUrl('http://api.example.com/'), NONE)).rejects.toEqual(refused)
  })

  test('asks once per call, so a name that changes its answer is dialled where it was checked', async () => {
    const answers = [[PUBLIC], [{ address: '127.0.0.1', family: 4 }]]
    const resolve = vi.fn(async () => answers.shift()!)
    const { guard } = createAddressGuard({ resolve })
    const checked = await guard(canonicalUrl('https://rebind.test/'), NONE)
    expect(checked).toEqual({ address: PUBLIC.address, family: 4 })
    expect(resolve).toHaveBeenCalledTimes(1)
    await expect(guard(canonicalUrl('https://rebind.test/'), NONE)).rejects.toEqual(refused)
  })

  test('shares one question among calls that come while it is open, and remembers nothing after', async () => {
    const open = Promise.withResolvers<(typeof PUBLIC)[]>()
    const resolve = vi.fn(() => open.promise)
    const { guard } = createAddressGuard({ resolve })
    const url = canonicalUrl('https://api.example.com/')
    const both = Promise.all([guard(url, NONE), guard(url, NONE)])
    open.resolve([PUBLIC])
    expect(await both).toHaveLength(2)
    expect(resolve).toHaveBeenCalledTimes(1)
    await guard(url, NONE)
    expect(resolve).toHaveBeenCalledTimes(2)
  })

  test('a name that does not resolve is an unreachable provider, with nothing sent', async () => {
    const resolve = async () => {
      throw Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })
    }
    const { guard } = createAddressGuard({ resolve })
    const error = await guard(canonicalUrl('https://gone.test/'), NONE).catch((one) => one)
    expect(error).toBeInstanceOf(UpstreamError)
    expect(error).toMatchObject({ code: 'provider_unreachable', sent: false })
    const empty = createAddressGuard({ resolve: async () => [] })
    await expect(empty.guard(canonicalUrl('https://gone.test/'), NONE)).rejects.toMatchObject({
      code: 'provider_unreachable',
    })
  })

  test('a resolver that does not answer in time is a timeout, with nothing sent', async () => {
    const timers: (() => void)[] = []
    const after = (_: number, action: () => void) => {
      timers.push(action)
      return () => {}
    }
    const { guard } = createAddressGuard({ resolve: () => new Promise(() => {}), after })
    const call = guard(canonicalUrl('https://slow.test/'), NONE)
    for (const fire of timers) fire()
    await expect(call).rejects.toMatchObject({
      code: 'provider_timeout',
      sent: false,
      fields: { timeout_reason: 'upstream_timeout', upstream_may_have_executed: false },
    })
  })
})
