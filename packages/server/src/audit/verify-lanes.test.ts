import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeRows, detailHash, encodeRow, genesisHash, keepHash, rowHash } from './chain.ts'
import { type CheckpointHead, checkpointMessage, messageHash, type SignedCheckpoint } from './checkpoint.ts'
import { type LaneBlock, readLaneRows } from './lane-row.ts'
import { type LaneHead, newLaneHead, placeRows } from './row-batch.ts'
import { type LogSource, verifyLanes } from './verify-lanes.ts'

const SCOPE = '00000000-0000-4000-8000-00000000000a'
const LANES = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'] as const

// RFC 8410 PKCS 8 header of an Ed25519 private key, then the bytes 00…1f.
const privateKey = createPrivateKey({
  key: Buffer.concat([
    Buffer.from('302e020100300506032b657004220420', 'hex'),
    Buffer.from(Array.from({ length: 32 }, (_, i) => i)),
  ]),
  format: 'der',
  type: 'pkcs8',
})
const publicJwk = { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid: 'test' }

test('the checkpoint of the published vector: message hash and signature', () => {
  const message = checkpointMessage({
    v: 1,
    scope_id: SCOPE,
    heads: [
      {
        chain_id: LANES[0],
        first_seq: 1,
        seq: 2,
        row_hash: 'ed9e72b162d9caeac6d18bbca087ece29575a93bcafd9e31ce3b132e89f858ca',
        closed: false,
      },
    ],
    prev_checkpoint: null,
    issued_at: '2026-01-01T00:00:00.000000Z',
    key_id: 'test',
  })
  expect(messageHash(message)).toBe('3fa8fc52675cab4eb2f389326651c406c935dd4e6675f58bb542ccee857962e2')
  expect(sign(null, Buffer.from(message), privateKey).toString('base64url')).toBe(
    'SRyK3SJde0RNWCUf4qNI5EeI8BxWA9zC_graZHXzktEKboJ8XE5ChecrpWvpqVUWzDwQ5WJQhCgANaIJonzCDA',
  )
})

type StoredBlock = { chainId: string; firstSeq: number; count: number; head: Buffer; rows: Buffer }

/** A log of two lanes under three checkpoints, with a tail that none covers; lane 2 is closed by the third. */
function createLog() {
  const scope = { scopeId: SCOPE, appId: SCOPE, organizationId: null }
  const heads = new Map<string, LaneHead>(LANES.map((chainId) => [chainId, newLaneHead(chainId)]))
  const blocks: StoredBlock[] = []
  const checkpoints: SignedCheckpoint[] = []
  const listed = new Map<string, number>()
  let nowMs = Date.UTC(2026, 0, 1)

  function write(chainId: string, count: number): void {
    const head = heads.get(chainId)!
    nowMs += 1_000
    const clock = { now: () => nowMs, monotonic: () => nowMs }
    const drafts = Array.from({ length: count }, (_, i) => ({
      event: 'proxy.requested',
      stream: 'runtime' as const,
      outcome: 'allowed' as const,
      detail: { url: `https://example.com/café/${i}` },
    }))
    const placed = placeRows(drafts, scope, chainId, head, clock)
    blocks.push({ chainId, firstSeq: head.nextSeq, count, head: placed.head.hash, rows: placed.rows })
    heads.set(chainId, placed.head)
  }
  function end(chainId: string): void {
    const head = heads.get(chainId)!
    blocks.push({ chainId, firstSeq: head.nextSeq, count: 0, head: head.hash, rows: Buffer.alloc(0) })
  }
  function issue(lanes: readonly string[], closing: readonly string[] = []): void {
    const listedHeads = lanes.map((chainId): CheckpointHead => {
      const head = heads.get(chainId)!
      const first_seq = (listed.get(chainId) ?? 0) + 1
      listed.set(chainId, head.nextSeq - 1)
      const row_hash = head.hash.toString('hex')
      return { chain_id: chainId, first_seq, seq: head.nextSeq - 1, row_hash, closed: closing.includes(chainId) }
    })
    sealCheckpoint(listedHeads)
  }
  function sealCheckpoint(listedHeads: CheckpointHead[]): void {
    nowMs += 1_000
    const message = checkpointMessage({
      v: 1,
      scope_id: SCOPE,
      heads: listedHeads,
      prev_checkpoint: checkpoints.at(-1)?.messageHash ?? null,
      issued_at: new Date(nowMs).toISOString().replace('Z', '000Z'),
      key_id: 'test',
    })
    const signature = sign(null, Buffer.from(message), privateKey).toString('base64url')
    const number = checkpoints.length + 1
    checkpoints.push({ number, message, messageHash: messageHash(message), signature, keyId: 'test' })
  }
  const [a, b] = LANES
  write(a, 3)
  write(b, 1)
  issue([a, b])
  write(a, 2)
  issue([a, b])
  write(a, 4)
  write(b, 2)
  end(b)
  issue([a, b], [b])
  write(a, 2)
  return { blocks, checkpoints, issue, write, sealCheckpoint }
}
type TestLog = ReturnType<typeof createLog>

const sourceOf = ({ blocks, checkpoints }: Pick<TestLog, 'blocks' | 'checkpoints'>): LogSource => ({
  scopeId: SCOPE,
  chainIds: new Set(blocks.map((block) => block.chainId)),
  blocks: (chainId) =>
    blocks
      .filter((block) => block.chainId === chainId)
      .sort((x, y) => x.firstSeq - y.firstSeq)
      .map(
        ({ firstSeq, count, head, rows }): LaneBlock => ({ firstSeq, count, headHash: head, rows: readLaneRows(rows) }),
      ),
  checkpoints,
})
const verify = (log: Pick<TestLog, 'blocks' | 'checkpoints'>) => verifyLanes(sourceOf(log), [publicJwk])
const errorOf = async (change: (log: TestLog) => void) => {
  const log = createLog()
  change(log)
  const { status, first_error } = await verify(log)
  expect(status).toBe(first_error === null ? 'ok' : 'broken')
  return first_error
}
const blockOf = (log: TestLog, chainId: string, firstSeq: number): StoredBlock =>
  log.blocks.find((block) => block.chainId === chainId && block.firstSeq === firstSeq)!
const flipIn = (bytes: Buffer, text: string): void => {
  const at = bytes.indexOf(text)
  if (at < 0) throw new Error(`no ${text}`)
  bytes[at + text.length - 1]! ^= 1
}

/** Writes rows of a lane anew from some block on, with fitting hashes: what somebody with the database but no key can do. */
function rechain(log: TestLog, chainId: string): void {
  let hash = genesisHash(chainId)
  for (const block of log.blocks.filter((one) => one.chainId === chainId)) {
    for (const row of decodeRows(block.rows)) hash = rowHash(hash, keepHash(row.keep), row.detailHash)
    block.head = hash
  }
}

describe('a log nobody touched', () => {
  test('is ok, and says what it covers', async () => {
    expect(await verify(createLog())).toEqual({
      status: 'ok',
      scope_id: SCOPE,
      lanes: [
        { chain_id: LANES[0], from_seq: 1, to_seq: 11 },
        { chain_id: LANES[1], from_seq: 1, to_seq: 3 },
      ],
      rows_checked: 14,
      details_pruned: 0,
      checkpoints_checked: 3,
      unsigned_tail_rows: 2,
      first_error: null,
    })
  })

  test('stays ok when details are replaced by their hashes', async () => {
    const log = createLog()
    const block = blockOf(log, LANES[0], 1)
    block.rows = Buffer.from(
      decodeRows(block.rows)
        .map((row) => encodeRow(row.keep, null, detailHash(row.detail!)))
        .join(''),
    )
    expect(await verify(log)).toMatchObject({ status: 'ok', rows_checked: 14, details_pruned: 3 })
  })

  test('is ok without rows and without checkpoints', async () => {
    expect(await verify({ blocks: [], checkpoints: [] })).toMatchObject({ status: 'ok', lanes: [], rows_checked: 0 })
  })
})

describe('names the place of', () => {
  const [a, b] = LANES
  test.each([
    ['a changed keep part', (log: TestLog) => flipIn(blockOf(log, a, 4).rows, '"outcome":"a'), a, 4, 'hash_mismatch'],
    ['a changed detail part', (log: TestLog) => flipIn(blockOf(log, b, 2).rows, '"url":"h'), b, 2, 'hash_mismatch'],
    ['a changed head', (log: TestLog) => blockOf(log, a, 6).head.fill(1, 5, 6), a, 6, 'hash_mismatch'],
    ['a row in the tail', (log: TestLog) => flipIn(blockOf(log, a, 10).rows, '"event":"p'), a, 10, 'hash_mismatch'],
    ['bytes that are no row', (log: TestLog) => flipIn(blockOf(log, a, 4).rows, '\t'), a, 4, 'hash_mismatch'],
  ])('%s', async (_what, change, chain_id, seq, kind) => {
    expect(await errorOf(change)).toEqual({ chain_id, seq, kind })
  })

  test('a row changed together with every hash after it: the checkpoint does not fit', async () => {
    const place = await errorOf((log) => {
      flipIn(blockOf(log, a, 4).rows, '"outcome":"a')
      rechain(log, a)
    })
    expect(place).toEqual({ chain_id: a, seq: 5, kind: 'checkpoint_mismatch' })
  })

  test('a row that was taken out of its block', async () => {
    const place = await errorOf((log) => {
      const block = blockOf(log, a, 6)
      const kept = decodeRows(block.rows).filter((row) => JSON.parse(row.keep).seq !== 7)
      block.rows = Buffer.from(kept.map((row) => encodeRow(row.keep, row.detail, row.detailHash)).join(''))
      block.count = kept.length
      rechain(log, a)
    })
    expect(place).toEqual({ chain_id: a, seq: 7, kind: 'gap' })
  })

  test('two rows that changed places', async () => {
    const place = await errorOf((log) => {
      const block = blockOf(log, a, 6)
      const [first, second, ...rest] = decodeRows(block.rows)
      block.rows = Buffer.from(
        [second!, first!, ...rest].map((row) => encodeRow(row.keep, row.detail, row.detailHash)).join(''),
      )
      rechain(log, a)
    })
    expect(place).toEqual({ chain_id: a, seq: 6, kind: 'order' })
  })

  test('a block that was taken out', async () => {
    expect(await errorOf((log) => log.blocks.splice(log.blocks.indexOf(blockOf(log, a, 4)), 1))).toEqual({
      chain_id: a,
      seq: 4,
      kind: 'gap',
    })
  })

  test('the last block under a checkpoint taken out', async () => {
    const log = createLog()
    const blocks = log.blocks.filter((block) => block.chainId !== a || block.firstSeq < 6)
    expect((await verify({ ...log, blocks })).first_error).toEqual({ chain_id: a, seq: 6, kind: 'gap' })
  })

  test('a lane that was taken out', async () => {
    const log = createLog()
    const blocks = log.blocks.filter((block) => block.chainId !== b)
    expect((await verify({ ...log, blocks })).first_error).toEqual({ chain_id: b, seq: 1, kind: 'lane_missing' })
  })

  test('rows after the end of a lane', async () => {
    expect(await errorOf((log) => log.write(b, 1))).toEqual({ chain_id: b, seq: 4, kind: 'lane_reopened' })
  })

  test('rows after the end of a lane whose closing block is gone', async () => {
    const log = createLog()
    const blocks = log.blocks.filter((block) => block.count > 0)
    const open = createLog()
    open.write(b, 1)
    blocks.push(open.blocks.at(-1)!)
    expect((await verify({ ...log, blocks })).status).toBe('broken')
  })

  test('a closed lane in a later checkpoint', async () => {
    expect(await errorOf((log) => log.issue([a, b]))).toMatchObject({ chain_id: b, kind: 'lane_reopened' })
  })

  test('an open lane that a checkpoint leaves out', async () => {
    expect(await errorOf((log) => log.sealCheckpoint([]))).toEqual({ chain_id: a, seq: 9, kind: 'lane_missing' })
  })

  test('a changed checkpoint, signature, key or hash', async () => {
    const change = (made: (signed: SignedCheckpoint) => Partial<SignedCheckpoint>) =>
      errorOf((log) => Object.assign(log.checkpoints[1]!, made(log.checkpoints[1]!)))
    expect(await change(({ message }) => ({ message: message.replace('"seq":5', '"seq":4') }))).toEqual({
      chain_id: null,
      seq: 2,
      kind: 'bad_signature',
    })
    expect(await change(({ signature }) => ({ signature: `${signature.slice(0, -1)}z` }))).toMatchObject({
      kind: 'bad_signature',
    })
    expect(await change(() => ({ keyId: 'other' }))).toEqual({ chain_id: null, seq: 2, kind: 'unknown_key' })
    expect(await change(() => ({ messageHash: '0'.repeat(64) }))).toEqual({
      chain_id: null,
      seq: 2,
      kind: 'checkpoint_mismatch',
    })
  })

  test('a checkpoint that was taken out', async () => {
    expect(await errorOf((log) => log.checkpoints.splice(1, 1))).toEqual({
      chain_id: null,
      seq: 3,
      kind: 'checkpoint_mismatch',
    })
    expect(await errorOf((log) => log.checkpoints.splice(0, 1))).toEqual({
      chain_id: null,
      seq: 2,
      kind: 'checkpoint_mismatch',
    })
  })
})

test('every bit of every row and head counts', async () => {
  const log = createLog()
  const parts = log.blocks.flatMap(({ rows, head }) => [rows, head]).filter((part) => part.length > 0)
  const bit = fc
    .nat(parts.length - 1)
    .chain((part) => fc.record({ part: fc.constant(part), at: fc.nat(parts[part]!.length - 1), bit: fc.nat(7) }))
  await fc.assert(
    fc.asyncProperty(bit, async ({ part, at, bit }) => {
      parts[part]![at]! ^= 1 << bit
      const { status } = await verify(log)
      parts[part]![at]! ^= 1 << bit
      return status === 'broken'
    }),
    { numRuns: 300 },
  )
  expect((await verify(log)).status).toBe('ok')
})

describe('an excerpt', () => {
  const [a, b] = LANES
  const excerptOf = (log: TestLog, from: number, to: number): LogSource => {
    const blocks = log.blocks.filter((block) => block.chainId === a && block.firstSeq >= from && block.firstSeq < to)
    const before = log.blocks.findLast((block) => block.chainId === a && block.firstSeq < from)
    return {
      ...sourceOf({ ...log, blocks }),
      excerpt: new Map([[a, { fromSeq: from, previousHash: before?.head ?? genesisHash(a) }]]),
      checkpoints: log.checkpoints.slice(1),
    }
  }

  test('is never ok, but incomplete', async () => {
    expect(await verifyLanes(excerptOf(createLog(), 4, 10), [publicJwk])).toMatchObject({
      status: 'incomplete',
      lanes: [{ chain_id: a, from_seq: 4, to_seq: 9 }],
      rows_checked: 6,
      checkpoints_checked: 2,
      unsigned_tail_rows: 0,
      first_error: null,
    })
  })

  test('may end before a head that a checkpoint names', async () => {
    expect(await verifyLanes(excerptOf(createLog(), 4, 6), [publicJwk])).toMatchObject({
      status: 'incomplete',
      rows_checked: 2,
    })
  })

  test('still shows a change under a checkpoint', async () => {
    const log = createLog()
    flipIn(blockOf(log, a, 6).rows, '"outcome":"a')
    let hash = blockOf(log, a, 4).head
    for (const row of decodeRows(blockOf(log, a, 6).rows)) hash = rowHash(hash, keepHash(row.keep), row.detailHash)
    blockOf(log, a, 6).head = hash
    expect((await verifyLanes(excerptOf(log, 4, 10), [publicJwk])).first_error).toEqual({
      chain_id: a,
      seq: 9,
      kind: 'checkpoint_mismatch',
    })
  })

  test('does not miss lanes that it never held', async () => {
    const log = createLog()
    const whole = { ...sourceOf({ ...log, blocks: log.blocks.filter((block) => block.chainId === a) }) }
    expect((await verifyLanes(whole, [publicJwk])).first_error).toEqual({ chain_id: b, seq: 1, kind: 'lane_missing' })
    expect((await verifyLanes({ ...whole, excerpt: new Map() }, [publicJwk])).status).toBe('incomplete')
  })
})
