import { expect, test } from 'vitest'
import { canonicalJson } from '../kernel/canonical-json.ts'
import { canonicalDetail, canonicalKeep } from './audit-row.ts'
import { batchDigest, createRowWriter, decodeRows, detailHash, genesisHead, nextHead, rowDigest } from './log-hashes.ts'

const APP = '00000000-0000-4000-8000-00000000000a'
const scope = { scopeId: APP, appId: APP, organizationId: '00000000-0000-4000-8000-00000000000b' }
/** A row as the log stores it: the permanent part, and what may be forgotten. */
const rows = [
  [canonicalJson({ event: 'app.created', v: 1 }), canonicalJson({ salt: '0'.repeat(32) })],
  [canonicalJson({ event: 'key.minted', v: 1 }), canonicalJson({ name: 'café', salt: '1'.repeat(32) })],
] as const

test('the hashes of the published vector', () => {
  const genesis = genesisHead(scope)
  expect(genesis.toString('hex')).toBe('fbbcbaf61823fe225f82c8f227e284a27fa6504dd7fa7f114d2656bb9fea7bb3')
  const digests = rows.map(([keep, detail]) => rowDigest(keep, detailHash(detail)))
  expect(digests).toEqual([
    '7dd9c9a3b84e68b94fc6cc7841cc7d6ef67d227a423f4ccad6d419efd31d4256',
    'be81feb2fb024295448c47d1279836960df9c6c9510fdb762ce4f1ab03f29f4d',
  ])
  const digest = batchDigest(digests)
  expect(digest.toString('hex')).toBe('1cf215309ad0e492625c781245da432f942ccd7d999452448888f252f35ecfe7')
  expect(nextHead(genesis, { sequence: 1, firstRow: 1, count: 2 }, digest).toString('hex')).toBe(
    'e3e26dcaca017de86c44ebbd123348efc77671fb8b6f2c11022f7fa2f3261d71',
  )
})

test('rows written by hand are in canonical form without nulls, whatever they hold', () => {
  const place = { occurredAt: '2026-01-01T00:00:00.000001Z', eventId: APP, salt: 'ab'.repeat(16) }
  const row = {
    event: 'proxy.requested',
    outcome: 'allowed',
    reason: 'says "café"\n\u202e\ud800',
    providerId: 'a\tb',
    keyId: null,
    detail: {
      url: 'https://é/',
      context: { b: '2', a: '1' },
      latencyMs: 1.4,
      scopes: ['x'],
      callerType: 'agent',
      decision: null,
    },
  } as const
  const [keep, detail] = [canonicalKeep(row, place), canonicalDetail(row, place)]
  for (const text of [keep, detail]) {
    expect(canonicalJson(JSON.parse(text))).toBe(text)
    expect(text).not.toContain('null')
  }
  expect(JSON.parse(keep)).toMatchObject({ event: 'proxy.requested', stream: 'runtime', v: 1 })
})

test('a batch is read back as written, pruned rows included, and pruning keeps its digest', () => {
  const writer = createRowWriter(0)
  const lines = rows.map(([keep, detail]) => writer.write(keep, detail))
  const stored = decodeRows(writer.rows())
  expect(stored).toEqual(rows.map(([keep, detail]) => ({ keep, detail, detailHash: detailHash(detail) })))
  const { lineAt, lineBytes } = lines[1]!
  expect(writer.rows().toString('utf8', lineAt, lineAt + lineBytes)).toBe(rows[1].join('\t'))
  const digestOf = (all: typeof stored) => batchDigest(all.map((row) => rowDigest(row!.keep, row!.detailHash)))
  expect(digestOf(stored)).toEqual(writer.digest())
  const pruned = decodeRows(Buffer.from(stored.map((row) => `${row!.keep}\t#${row!.detailHash}\n`).join('')))
  expect(pruned).toEqual(stored.map((row) => ({ ...row, detail: null })))
  expect(digestOf(pruned)).toEqual(writer.digest())
})

test('a line that is not of the stored form is no row', () => {
  const whole = Buffer.from('{"v":1}\t{"salt":"0"}\n')
  expect(decodeRows(whole.subarray(0, -1))).toEqual([null])
  expect(decodeRows(Buffer.from('{"v":1}\t#00\n'))).toEqual([null])
  expect(decodeRows(Buffer.from('{"v":1}\n'))).toEqual([null])
  expect(decodeRows(Buffer.concat([Buffer.from([0xff]), whole]))).toEqual([null])
  expect(decodeRows(Buffer.alloc(0))).toEqual([])
})
