import { expect, test } from 'vitest'
import { canonicalUrl } from './canonical-url.ts'
import { createFairUpstream } from './fair-upstream.ts'
import type { UpstreamRequest, UpstreamResponse } from './upstream.ts'

/** Calls that hang until the test ends them. */
function setUp() {
  const hanging: ((end: 'answered' | 'failed') => void)[] = []
  const upstream = createFairUpstream(
    {
      send: () =>
        new Promise<UpstreamResponse>((resolve, reject) =>
          hanging.push((end) => (end === 'answered' ? resolve({} as UpstreamResponse) : reject(new Error('broke')))),
        ),
    },
    { appCalls: 3, keyCalls: 2 },
  )
  const send = (appId: string, keyId: string | null) => {
    const request: Partial<UpstreamRequest> = { owner: { appId, keyId }, url: canonicalUrl('https://a.b/') }
    const sent = upstream.send(request as UpstreamRequest)
    sent.catch(() => undefined)
    return sent
  }
  return { send, hanging }
}

const REFUSED = { code: 'service_unavailable', sent: false, retryAfterSeconds: 1 }

test('a key whose calls hang leaves room for others of its app, and the app for other apps', async () => {
  const { send, hanging } = setUp()
  void send('a', 'k1')
  void send('a', 'k1')
  await expect(send('a', 'k1')).rejects.toMatchObject(REFUSED)
  void send('a', 'k2')
  await expect(send('a', 'k3')).rejects.toMatchObject({ ...REFUSED, message: expect.stringContaining('this app') })
  await expect(send('a', null)).rejects.toMatchObject(REFUSED)
  void send('b', 'k4')
  expect(hanging).toHaveLength(4)
})

test.each(['answered', 'failed'] as const)('a call that %s makes room for the next', async (end) => {
  const { send, hanging } = setUp()
  const first = send('a', 'k1')
  void send('a', 'k1')
  hanging[0]!(end)
  await first.catch(() => undefined)
  void send('a', 'k1')
  expect(hanging).toHaveLength(3)
})

test('a refused call of a key does not count for its app', async () => {
  const { send, hanging } = setUp()
  void send('a', 'k1')
  void send('a', 'k1')
  for (let i = 0; i < 5; i++) await expect(send('a', 'k1')).rejects.toMatchObject(REFUSED)
  void send('a', null)
  expect(hanging).toHaveLength(3)
})
