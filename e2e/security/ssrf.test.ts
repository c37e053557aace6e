import { join } from 'node:path'
import { type ApprovalResult, BackendError, BlockedDestinationError } from '@alter-ai/alter-sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RecordingApi, startRecordingApi } from '../support/recording-api.ts'
import { startVaultWithProvider, type VaultWithProvider } from '../support/vault-with-provider.ts'

/** Where no credential may ever go, by the range that it is in. */
const FORBIDDEN_ADDRESSES = {
  loopback: ['127.0.0.1', '127.255.255.254', '::1'],
  'this host': ['0.0.0.0', '::'],
  private: ['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', 'fd00::1'],
  'carrier-grade NAT': ['100.64.0.1'],
  'link-local': ['169.254.1.1', 'fe80::1'],
  'cloud metadata': ['169.254.169.254', 'fd00:ec2::254', '100.100.100.200'],
  'mapped and translated': ['::ffff:127.0.0.1', '::ffff:169.254.169.254', '64:ff9b::7f00:1', '2002:7f00:1::'],
  'multicast and reserved': ['224.0.0.1', '240.0.0.1', '255.255.255.255', 'ff02::1'],
  documentation: ['192.0.2.1', '198.51.100.1', '203.0.113.1', '2001:db8::1'],
  benchmarking: ['198.18.0.1'],
}
const named = Object.values(FORBIDDEN_ADDRESSES).flatMap((addresses) =>
  addresses.map((address, index) => ({
    address,
    name: `a${index}-${address.replace(/[^0-9a-f]/g, '-')}x.attack.example`,
  })),
)
/** Each time it is asked it names another address of this machine. */
const REBINDING = 'rebinding.attack.example'
const MIXED = 'mixed.attack.example'

const HOSTS: Record<string, string[][]> = {
  ...Object.fromEntries(named.map(({ name, address }) => [name, [[address]]])),
  [REBINDING]: [['127.0.0.1'], ['127.0.0.2']],
  [MIXED]: [['93.184.215.14', '127.0.0.1']],
}

let desk: VaultWithProvider
/** Stands where an attacker would lead the vault; it must never be dialled. */
let inner: RecordingApi
let anywhere: string
let refused = 0

beforeAll(async () => {
  desk = await startVaultWithProvider({
    entry: join(import.meta.dirname, '../support/faulty-vault.ts'),
    env: { E2E_HOSTS: JSON.stringify(HOSTS) },
  })
  inner = await startRecordingApi()
  const secret = await desk.operator.createSecret({
    name: 'Anywhere',
    credential_type: 'bearer',
    value: { token: 'for-anywhere' },
    allowed_hosts: ['*.attack.example', `*.attack.example:${inner.port}`, 'localhost', `localhost:${inner.port}`],
  })
  anywhere = secret.base_grant_id ?? ''
})
afterAll(async () => {
  await inner?.[Symbol.asyncDispose]()
  await desk?.[Symbol.asyncDispose]()
})

async function refusalOf(url: string, grantId = anywhere): Promise<BackendError> {
  await using app = desk.app()
  const outcome = await app.proxyRequest('GET', url, { grantId }).catch((error: unknown) => error)
  expect(outcome, url).toBeInstanceOf(BackendError)
  return outcome as BackendError
}

async function expectBlocked(url: string, grantId = anywhere): Promise<void> {
  const refusal = await refusalOf(url, grantId)
  expect(refusal, `${url}: ${refusal.message}`).toBeInstanceOf(BlockedDestinationError)
  refused += 1
}

describe('a name that leads inside', () => {
  it.each(Object.entries(FORBIDDEN_ADDRESSES))('is refused: %s', async (_range, addresses) => {
    for (const address of addresses) {
      const { name } = named.find((entry) => entry.address === address) ?? { name: '' }
      await expectBlocked(`https://${name}:${inner.port}/`)
    }
  })

  it('is refused when only one of its addresses is inside', () => expectBlocked(`https://${MIXED}:${inner.port}/`))

  it('is refused as localhost', async () => {
    await expectBlocked(`https://localhost:${inner.port}/`)
    await expectBlocked(`http://localhost:${inner.port}/`)
  })

  it('says nothing of what the network looks like inside', async () => {
    const { details } = await refusalOf(`https://${named[0]?.name}:${inner.port}/`)
    refused += 1
    expect(JSON.stringify(details)).not.toContain('127.0.0.1')
  })
})

describe('an address in the URL', () => {
  it.each([
    ['written plainly', '127.0.0.1'],
    ['in short', '127.1'],
    ['in decimal', '2130706433'],
    ['in octal', '0177.0.0.1'],
    ['in hexadecimal', '0x7f.0x0.0x0.0x1'],
    ['in full width digits', '１２７.０.０.１'],
    ['with circled digits', '①②⑦.⓪.⓪.①'],
    ['as IPv6', '[::1]'],
    ['as IPv4 in IPv6', '[::ffff:127.0.0.1]'],
    ['as IPv4 in IPv6, in hexadecimal', '[::ffff:7f00:1]'],
    ['as translated IPv6', '[64:ff9b::7f00:1]'],
    ['of the metadata service', '169.254.169.254'],
    ['of the metadata service, in decimal', '2852039166'],
    ['with a final dot', '127.0.0.1.'],
    ['percent-encoded', '%31%32%37.0.0.1'],
  ])('is refused %s', async (_how, host) => {
    for (const scheme of ['http', 'https']) await expectBlocked(`${scheme}://${host}:${inner.port}/`)
  })

  it.each([
    ['user information', (port: number) => `https://api.attack.example@127.0.0.1:${port}/`],
    ['a backslash', (port: number) => `https://127.0.0.1:${port}\\@api.attack.example/`],
    ['a hidden path', (port: number) => `https://127.0.0.1:${port}/..%2Fadmin`],
    ['another scheme', (port: number) => `gopher://127.0.0.1:${port}/`],
    ['a file', () => 'file:///etc/passwd'],
    ['no host', () => 'https:///path'],
    ['a control character', (port: number) => `https://127.0.0.1\u0001.attack.example:${port}/`],
    ['a line break', (port: number) => `https://127.0.0.1:${port}/a\r\nX-Other: 1`],
  ])('is refused with %s', (_what, url) => expectBlocked(url(inner.port)))
})

describe('an allowed private host', () => {
  // Only Linux answers on every address of 127.0.0.0/8.
  it.skipIf(process.platform !== 'linux')('is dialled at the address that was checked, once', async () => {
    await using elsewhere = await startRecordingApi({ address: '127.0.0.2', port: desk.api.port })
    const host = `${REBINDING}:${desk.api.port}`
    await desk.operator.allowPrivateHosts(host)
    const secret = await desk.operator.createSecret({
      name: 'Rebinding',
      credential_type: 'bearer',
      value: { token: 'for-one-address' },
      allowed_hosts: [host],
    })
    await using app = desk.app()
    await app.proxyRequest('GET', `http://${host}/rebinding`, { grantId: secret.base_grant_id ?? '' })
    expect(desk.api.to('/rebinding')).toHaveLength(1)
    expect(elsewhere.connections()).toBe(0)
  })

  it('is refused again once the operator takes the permission back', async () => {
    const { settings } = await desk.operator.app()
    const before = settings.allowed_private_hosts
    await desk.operator.allowPrivateHosts(inner.host)
    const secret = await desk.operator.createSecret({
      name: 'Inner',
      credential_type: 'bearer',
      value: { token: 'for-inner' },
      allowed_hosts: [inner.host],
    })
    await desk.operator.updateApp({ settings: { allowed_private_hosts: before } })
    await expectBlocked(inner.url, secret.base_grant_id ?? '')
  })

  it('is allowed with its own port only', async () => {
    await expectBlocked(inner.url, desk.grantId)
    await desk.operator.allowPrivateHosts(inner.host)
    // The app may dial it now; this credential still may not go there.
    await expectBlocked(inner.url, desk.grantId)
  })

  it('cannot lead the vault on: a redirect goes back to the caller', async () => {
    await using app = desk.app()
    for (const to of [inner.url, 'http://169.254.169.254/latest/meta-data/', `//127.0.0.1:${inner.port}/`]) {
      const url = `${desk.api.url}/redirect?to=${encodeURIComponent(to)}`
      const result = (await app.proxyRequest('GET', url, { grantId: desk.grantId })) as ApprovalResult
      expect(result.statusCode).toBe(302)
      expect(result.headers.location).toBe(to)
    }
  })
})

it('dialled nothing that was refused', () => {
  expect(inner.connections()).toBe(0)
  for (const { path } of desk.api.requests) expect(['/rebinding', '/redirect']).toContain(path)
})

it('recorded every refusal', async () => {
  const rows = await desk.operator.auditEvents({ reason_code: 'blocked_destination' })
  expect(rows).toHaveLength(refused)
  for (const { event } of rows) expect(['proxy.denied', 'proxy.refused']).toContain(event)
  expect(refused).toBeGreaterThan(60)
})
