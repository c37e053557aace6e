import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { createRequestBodies, RequestAbandoned } from './request-body.ts'

const KIB = 1024
const time = { now: 0 }
const clock = { monotonic: () => time.now }

function setUp() {
  const small = { totalBytes: 4 * KIB, ownerBytes: 2 * KIB }
  return createRequestBodies({ known: { totalBytes: 8 * KIB, ownerBytes: 4 * KIB }, unknown: small }, clock)
}

/** A request whose body comes when the test says so. */
function arriving(headers: Record<string, string> = { 'transfer-encoding': 'chunked' }) {
  const state = { listened: false, readableEnded: false, destroyed: false }
  const request = Object.assign(new EventEmitter(), state, { headers, resume: () => undefined, pause: () => undefined })
  request.on('newListener', (event: string) => {
    if (event === 'data') request.listened = true
  })
  return Object.assign(request as unknown as IncomingMessage & { listened: boolean }, {
    bring: (bytes: number) => request.emit('data', Buffer.alloc(bytes)),
    finish() {
      request.readableEnded = true
      request.emit('end')
    },
  })
}

test('nothing is read before it is asked for', async () => {
  const request = arriving()
  const body = setUp()(request, '192.0.2.1')
  expect(request.listened).toBe(false)
  const read = body.read(10 * KIB, 'key')
  request.bring(3)
  request.finish()
  expect(await read).toHaveLength(3)
  expect(await body.read(10 * KIB, 'key')).toHaveLength(3)
})

test.each([
  ['one caller', ['a', 'a', 'a'], 3],
  ['all callers together', ['a', 'b', 'c', 'd', 'e'], 5],
])('more than %s may have in memory is refused while it comes, and fits again later', async (_, callers, refused) => {
  const bodyOf = setUp()
  const share = callers.length === 3 ? 2 * KIB : 2 * KIB
  const bodies = []
  for (const caller of callers.slice(0, refused - 1)) {
    const request = arriving()
    const body = bodyOf(request, '192.0.2.1')
    const read = body.read(10 * KIB, caller)
    request.bring(share)
    request.finish()
    await read
    bodies.push(body)
  }
  const last = callers.at(-1)!
  const late = arriving()
  const read = bodyOf(late, '192.0.2.1').read(10 * KIB, last)
  late.bring(share)
  await expect(read).rejects.toMatchObject({ code: 'service_unavailable', retryAfterSeconds: 1 })

  bodies[0]!.release()
  const again = arriving()
  const fits = bodyOf(again, '192.0.2.1').read(10 * KIB, last)
  again.bring(share)
  again.finish()
  expect(await fits).toHaveLength(share)
})

test('a declared length that does not fit is refused without reading', async () => {
  const large = arriving({ 'content-length': String(10 * KIB + 1) })
  await expect(setUp()(large, '192.0.2.1').read(10 * KIB, 'key')).rejects.toMatchObject({ code: 'body_too_large' })
  const noRoom = arriving({ 'content-length': String(5 * KIB) })
  await expect(setUp()(noRoom, '192.0.2.1').read(10 * KIB, 'key')).rejects.toMatchObject({
    code: 'service_unavailable',
  })
  expect([large.listened, noRoom.listened]).toEqual([false, false])
})

test('callers that nobody knows share little, each address less, and take nothing from those that are known', async () => {
  const bodyOf = setUp()
  const fill = (address: string) => {
    const request = arriving()
    const read = bodyOf(request, address).read(10 * KIB)
    request.bring(2 * KIB)
    request.finish()
    return read
  }
  await fill('192.0.2.1')
  await expect(fill('192.0.2.1')).rejects.toMatchObject({ code: 'service_unavailable' })
  await fill('192.0.2.2')
  await expect(fill('192.0.2.3')).rejects.toMatchObject({ code: 'service_unavailable' })
  const known = arriving()
  const read = bodyOf(known, '192.0.2.1').read(10 * KIB, 'key')
  known.bring(4 * KIB)
  known.finish()
  expect(await read).toHaveLength(4 * KIB)
})

test('a body whose sender is gone before or while it is read is abandoned, and its bytes are free', async () => {
  const bodyOf = setUp()
  const gone = Object.assign(arriving(), { destroyed: true })
  await expect(bodyOf(gone, '192.0.2.1').read(KIB, 'key')).rejects.toThrow(RequestAbandoned)
  for (let i = 0; i < 3; i++) {
    const request = arriving()
    const read = bodyOf(request, '192.0.2.1').read(10 * KIB, 'key')
    request.bring(4 * KIB)
    ;(request as unknown as EventEmitter).emit('close')
    await expect(read).rejects.toThrow(RequestAbandoned)
  }
})

test('a body that drips is too slow after ten seconds, one that flows or has come is not', () => {
  const bodyOf = setUp()
  const [dripping, flowing, done] = [arriving(), arriving(), arriving()]
  const bodies = [dripping, flowing, done].map((request, i) => {
    const body = bodyOf(request, '192.0.2.1')
    void body.read(10_000 * KIB, `key ${i}`).catch(() => undefined)
    return body
  })
  const slow = () => bodies.map((body) => body.isTooSlow())
  dripping.bring(1)
  flowing.bring(1)
  done.bring(1)
  done.finish()
  expect(slow()).toEqual([false, false, false])
  time.now += 10_001
  expect(slow()).toEqual([true, true, false])
  flowing.bring(4 * KIB - 1)
  expect(slow()).toEqual([true, true, false])
})
