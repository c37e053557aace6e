import { expect, test } from 'vitest'
import { canonicalJson } from '../kernel/canonical-json.ts'
import { canonicalDetail, canonicalKeep } from './audit-row.ts'
import { decodeRows, detailHash, encodeRow, genesisHash, keepHash, rowHash } from './chain.ts'

const CHAIN = '00000000-0000-4000-8000-000000000001'

test('the chain of the published vector', () => {
  const genesis = genesisHash(CHAIN)
  expect(genesis.toString('hex')).toBe('eb6a16be1118a78653607db7bab68eecf85bd6c80cdb0a7dd71b6ad529a20570')
  const first = rowHash(
    genesis,
    keepHash(canonicalJson({ chain_id: CHAIN, event: 'app.created', seq: 1, v: 1 })),
    detailHash(canonicalJson({ salt: '0'.repeat(32) })),
  )
  expect(first.toString('hex')).toBe('c968cf02186bfbaec23c03acbf6e6f70717558c166d70c0113c6cfa56a9abcab')
  const second = rowHash(
    first,
    keepHash(canonicalJson({ chain_id: CHAIN, event: 'key.minted', seq: 2, v: 1 })),
    detailHash(canonicalJson({ name: 'café', salt: '1'.repeat(32) })),
  )
  expect(second.toString('hex')).toBe('ed9e72b162d9caeac6d18bbca087ece29575a93bcafd9e31ce3b132e89f858ca')
})

test('rows written by hand are in canonical form, whatever they hold', () => {
  const place = {
    scope: { scopeId: CHAIN, appId: CHAIN, organizationId: null },
    chainId: CHAIN,
    seq: 7,
    occurredAt: '2026-01-01T00:00:00.000001Z',
    eventId: CHAIN,
    salt: 'ab'.repeat(16),
  }
  const row = {
    event: 'proxy.requested',
    stream: 'runtime',
    outcome: 'allowed',
    reason: 'says "café"\n\u202e\ud800',
    providerId: 'a\tb',
    detail: { url: 'https://é/', context: { b: '2', a: '1' }, latencyMs: 1.4, scopes: ['x'], callerType: 'agent' },
  } as const
  for (const text of [canonicalKeep(row, place), canonicalDetail(row, place)]) {
    expect(canonicalJson(JSON.parse(text))).toBe(text)
  }
  expect(Object.keys(JSON.parse(canonicalKeep(row, place)))).toHaveLength(30)
  expect(Object.keys(JSON.parse(canonicalDetail(row, place)))).toHaveLength(34)
})

test('a block is read back as written, pruned rows included', () => {
  const detail = '{"salt":"0"}'
  const hash = detailHash(detail)
  const block = Buffer.from(encodeRow('{"v":1}', detail, hash) + encodeRow('{"v":2}', null, hash))
  expect(decodeRows(block)).toEqual([
    { keep: '{"v":1}', detail, detailHash: hash },
    { keep: '{"v":2}', detail: null, detailHash: hash },
  ])
  expect(() => decodeRows(block.subarray(0, -1))).toThrow(SyntaxError)
  expect(() => decodeRows(Buffer.from('{"v":1}\t#00\n'))).toThrow(SyntaxError)
})
