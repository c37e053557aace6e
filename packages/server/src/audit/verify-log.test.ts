import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Checkpoint, checkpointMessage, messageHash, type SignedCheckpoint } from './checkpoint.ts'
import { batchDigest, decodeRows, genesisHead, nextHead, rowDigest } from './log-hashes.ts'
import { createRowBatches } from './row-batch.ts'
import { type LogSource, startOf, verifyLog } from './verify-log.ts'

const SCOPE = '00000000-0000-4000-8000-00000000000a'
const scope = { scopeId: SCOPE, appId: SCOPE, organizationId: null }

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
    sequence: 1,
    row_no: 2,
    head: 'e3e26dcaca017de86c44ebbd123348efc77671fb8b6f2c11022f7fa2f3261d71',
    prev_checkpoint: null,
    issued_at: '2026-01-01T00:00:00.000000Z',
    key_id: 'test',
  })
  expect(messageHash(message)).toBe('b651187c25da0e366e968addccee0ff87a4b26138a577af040f96f70efa3f6c7')
  expect(sign(null, Buffer.from(message), privateKey).toString('base64url')).toBe(
    'yJT5C6zftcBy3PA49XOZuqnHJxaWHgygWrkWwxkWiNmBf4Jr6dQ3a3KgL717DXfJNBVFUX6zI-IKS-V3boGaDQ',
  )
})

type Batch = { sequence: number; firstRow: number; count: number; head: Buffer; rows: Buffer }

/** Six batches of 14 rows under three checkpoints, the last two rows under none. */
function createLog() {
  const batches: Batch[] = []
  const checkpoints: SignedCheckpoint[] = []
  let nowMs = Date.UTC(2026, 0, 1)
  const encode = createRowBatches({ now: () => nowMs })

  function write(count: number): void {
    nowMs += 1_000
    const { rows, digest } = encode(
      Array.from({ length: count }, (_, i) => ({
        event: 'proxy.requested',
        outcome: 'allowed',
        detail: { url: `https://example.com/café/${i}` },
      })),
    )
    const last = batches.at(-1)
    const place = { sequence: batches.length + 1, firstRow: last ? last.firstRow + last.count : 1, count }
    batches.push({ ...place, rows, head: nextHead(last?.head ?? genesisHead(scope), place, digest) })
  }
  function issue(changes: Partial<Checkpoint> = {}): void {
    nowMs += 1_000
    const { sequence, firstRow, count, head } = batches.at(-1)!
    const message = checkpointMessage({
      v: 1,
      scope_id: SCOPE,
      sequence,
      row_no: firstRow + count - 1,
      head: head.toString('hex'),
      prev_checkpoint: checkpoints.at(-1)?.messageHash ?? null,
      issued_at: new Date(nowMs).toISOString().replace('Z', '000Z'),
      key_id: 'test',
      ...changes,
    })
    const signature = sign(null, Buffer.from(message), privateKey).toString('base64url')
    checkpoints.push({
      number: checkpoints.length + 1,
      message,
      messageHash: messageHash(message),
      signature,
      keyId: 'test',
    })
  }
  write(3)
  write(1)
  issue()
  write(2)
  issue()
  write(4)
  write(2)
  issue()
  write(2)
  return { batches, checkpoints, issue, write }
}
type TestLog = ReturnType<typeof createLog>

const sourceOf = ({ batches, checkpoints }: Pick<TestLog, 'batches' | 'checkpoints'>): LogSource => ({
  scope,
  batches: batches.map((batch) => ({ ...batch, rows: decodeRows(batch.rows) })),
  lastSequence: batches.at(-1)?.sequence ?? 0,
  checkpoints,
})
const verify = (log: Pick<TestLog, 'batches' | 'checkpoints'>) => verifyLog(sourceOf(log), [publicJwk])
const errorOf = async (change: (log: TestLog) => void) => {
  const log = createLog()
  change(log)
  const { status, first_error } = await verify(log)
  expect(status).toBe(first_error === null ? 'ok' : 'broken')
  return first_error
}
const batchPlace = (sequence: number, row_no: number, kind: string) => ({ checkpoint_no: null, sequence, row_no, kind })
const checkpointPlace = (checkpoint_no: number, kind: string) => ({ checkpoint_no, sequence: null, row_no: null, kind })
const flipIn = (bytes: Buffer, text: string): void => {
  const at = bytes.indexOf(text)
  if (at < 0) throw new Error(`no ${text}`)
  bytes[at + text.length - 1]! ^= 1
}
const linesOf = ({ rows }: Batch): string[] => rows.toString('utf8').split('\n').slice(0, -1)
const setLines = (batch: Batch, lines: readonly string[]): void => {
  batch.rows = Buffer.from(lines.map((line) => `${line}\n`).join(''))
}

/** Gives the batches fitting places and heads again: what somebody with the database but no key can do. */
function rechain(log: TestLog): void {
  let head = genesisHead(scope)
  let firstRow = 1
  for (const [index, batch] of log.batches.entries()) {
    const rows = decodeRows(batch.rows).map((row) => row!)
    Object.assign(batch, { sequence: index + 1, firstRow, count: rows.length })
    head = nextHead(head, batch, batchDigest(rows.map((row) => rowDigest(row.keep, row.detailHash))))
    batch.head = head
    firstRow += rows.length
  }
}

describe('a log nobody touched', () => {
  test('is ok, and says what it covers', async () => {
    expect(await verify(createLog())).toEqual({
      status: 'ok',
      scope_id: SCOPE,
      batches: { from: 1, to: 6 },
      rows_checked: 14,
      details_pruned: 0,
      checkpoints_checked: 3,
      unsigned_tail_rows: 2,
      first_error: null,
    })
  })

  test('stays ok when details are replaced by their hashes', async () => {
    const log = createLog()
    const [batch] = log.batches
    setLines(
      batch!,
      decodeRows(batch!.rows).map((row) => `${row!.keep}\t#${row!.detailHash}`),
    )
    expect(await verify(log)).toMatchObject({ status: 'ok', rows_checked: 14, details_pruned: 3 })
  })

  test('is ok without rows and without checkpoints', async () => {
    expect(await verify({ batches: [], checkpoints: [] })).toMatchObject({
      status: 'ok',
      batches: null,
      rows_checked: 0,
    })
  })
})

describe('names the place of', () => {
  test.each([
    ['a changed keep part', (log: TestLog) => flipIn(log.batches[2]!.rows, '"outcome":"a'), 3, 5],
    ['a changed detail part', (log: TestLog) => flipIn(log.batches[1]!.rows, '"url":"h'), 2, 4],
    ['a changed head', (log: TestLog) => log.batches[3]!.head.fill(1, 5, 6), 4, 7],
    ['a row in the tail', (log: TestLog) => flipIn(log.batches[5]!.rows, '"event":"p'), 6, 13],
    ['bytes that are no row', (log: TestLog) => flipIn(log.batches[2]!.rows, '\t'), 3, 5],
  ])('%s', async (_what, change, sequence, row) => {
    expect(await errorOf(change)).toEqual(batchPlace(sequence, row, 'hash_mismatch'))
  })

  test('a row changed together with every hash after it: the checkpoint does not fit', async () => {
    const place = await errorOf((log) => {
      flipIn(log.batches[2]!.rows, '"outcome":"a')
      rechain(log)
    })
    expect(place).toEqual(checkpointPlace(2, 'checkpoint_mismatch'))
  })

  test('a row that was taken out of its batch', async () => {
    const takeOut = (log: TestLog) => setLines(log.batches[3]!, linesOf(log.batches[3]!).toSpliced(1, 1))
    expect(await errorOf(takeOut)).toEqual(batchPlace(4, 10, 'gap'))
    const fitting = await errorOf((log) => {
      takeOut(log)
      rechain(log)
    })
    expect(fitting).toEqual(checkpointPlace(3, 'checkpoint_mismatch'))
  })

  test('a row that was added to a batch', async () => {
    const add = (log: TestLog) => setLines(log.batches[3]!, [...linesOf(log.batches[3]!), linesOf(log.batches[2]!)[0]!])
    expect(await errorOf(add)).toEqual(batchPlace(4, 11, 'order'))
  })

  test('two rows that changed places', async () => {
    const swap = (log: TestLog) => {
      const [first, second, ...rest] = linesOf(log.batches[3]!)
      setLines(log.batches[3]!, [second!, first!, ...rest])
    }
    expect(await errorOf(swap)).toEqual(batchPlace(4, 7, 'hash_mismatch'))
    const fitting = await errorOf((log) => {
      swap(log)
      rechain(log)
    })
    expect(fitting).toEqual(checkpointPlace(3, 'checkpoint_mismatch'))
  })

  test('a batch that was taken out, also the last one under a checkpoint and the first one', async () => {
    expect(await errorOf((log) => log.batches.splice(2, 1))).toEqual(batchPlace(3, 5, 'gap'))
    expect(await errorOf((log) => log.batches.splice(0, 1))).toEqual(batchPlace(1, 1, 'gap'))
    expect(await errorOf((log) => log.batches.splice(4, 2))).toEqual(batchPlace(5, 11, 'gap'))
  })

  test('two batches that changed places', async () => {
    const swap = (log: TestLog) => log.batches.splice(1, 2, log.batches[2]!, log.batches[1]!)
    expect(await errorOf(swap)).toEqual(batchPlace(2, 4, 'gap'))
    const fitting = await errorOf((log) => {
      swap(log)
      rechain(log)
    })
    expect(fitting).toEqual(checkpointPlace(1, 'checkpoint_mismatch'))
  })

  test('a batch that is there twice, or before the first', async () => {
    expect(await errorOf((log) => log.batches.splice(2, 0, log.batches[1]!))).toEqual(batchPlace(3, 5, 'order'))
    expect(await errorOf((log) => log.batches.unshift({ ...log.batches[0]!, sequence: 0 }))).toEqual(
      batchPlace(1, 1, 'order'),
    )
  })

  test('the unsigned tail, where the log says that it goes further', async () => {
    const log = createLog()
    const { first_error } = await verifyLog({ ...sourceOf(log), lastSequence: 7 }, [publicJwk])
    expect(first_error).toEqual(batchPlace(7, 15, 'gap'))
    expect((await verifyLog({ ...sourceOf(log), lastSequence: 5 }, [publicJwk])).status).toBe('broken')
  })

  test('the log of another scope', async () => {
    const other = { ...scope, organizationId: SCOPE }
    expect((await verifyLog({ ...sourceOf(createLog()), scope: other }, [publicJwk])).first_error).toEqual(
      batchPlace(1, 1, 'hash_mismatch'),
    )
  })

  test('a changed checkpoint, signature, key or hash', async () => {
    const change = (made: (signed: SignedCheckpoint) => Partial<SignedCheckpoint>) =>
      errorOf((log) => Object.assign(log.checkpoints[1]!, made(log.checkpoints[1]!)))
    expect(await change(({ message }) => ({ message: message.replace('"row_no":6', '"row_no":5') }))).toEqual(
      checkpointPlace(2, 'bad_signature'),
    )
    expect(await change(({ signature }) => ({ signature: `${signature.slice(0, -1)}z` }))).toMatchObject({
      kind: 'bad_signature',
    })
    expect(await change(() => ({ keyId: 'other' }))).toEqual(checkpointPlace(2, 'unknown_key'))
    expect(await change(() => ({ messageHash: '0'.repeat(64) }))).toEqual(checkpointPlace(2, 'checkpoint_mismatch'))
  })

  test('a checkpoint that was taken out, or names rows, a batch or a time that it does not cover', async () => {
    expect(await errorOf((log) => log.checkpoints.splice(1, 1))).toEqual(checkpointPlace(3, 'checkpoint_mismatch'))
    expect(await errorOf((log) => log.checkpoints.splice(0, 1))).toEqual(checkpointPlace(2, 'checkpoint_mismatch'))
    expect(await errorOf((log) => log.issue({ row_no: 13 }))).toEqual(checkpointPlace(4, 'checkpoint_mismatch'))
    expect(await errorOf((log) => log.issue({ sequence: 5 }))).toEqual(checkpointPlace(4, 'checkpoint_mismatch'))
    expect(await errorOf((log) => log.issue({ sequence: 7 }))).toEqual(batchPlace(7, 15, 'gap'))
    expect(await errorOf((log) => log.issue({ issued_at: '2025-01-01T00:00:00.000000Z' }))).toEqual(
      checkpointPlace(4, 'order'),
    )
  })
})

test('every bit of every row and head counts', async () => {
  const log = createLog()
  const parts = log.batches.flatMap(({ rows, head }) => [rows, head])
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
  const excerptOf = (log: TestLog, from: number, to: number): LogSource => {
    const before = log.batches[from - 2]
    return {
      ...sourceOf({ ...log, batches: log.batches.slice(from - 1, to) }),
      excerpt: {
        sequence: from,
        firstRow: log.batches[from - 1]!.firstRow,
        previousHead: before?.head ?? startOf(scope).previousHead,
      },
      checkpoints: log.checkpoints.slice(1),
    }
  }

  test('is never ok, but incomplete', async () => {
    expect(await verifyLog(excerptOf(createLog(), 3, 5), [publicJwk])).toMatchObject({
      status: 'incomplete',
      batches: { from: 3, to: 5 },
      rows_checked: 8,
      checkpoints_checked: 2,
      unsigned_tail_rows: 0,
      first_error: null,
    })
    expect((await verifyLog(excerptOf(createLog(), 1, 6), [publicJwk])).status).toBe('incomplete')
  })

  test('may begin behind a checkpoint and end before what one covers', async () => {
    expect(await verifyLog(excerptOf(createLog(), 4, 4), [publicJwk])).toMatchObject({
      status: 'incomplete',
      rows_checked: 4,
      unsigned_tail_rows: 4,
    })
  })

  test('still shows a change under a checkpoint, and a wrong beginning', async () => {
    const log = createLog()
    flipIn(log.batches[3]!.rows, '"outcome":"a')
    rechain(log)
    expect((await verifyLog(excerptOf(log, 3, 5), [publicJwk])).first_error).toEqual(
      checkpointPlace(3, 'checkpoint_mismatch'),
    )
    const moved = excerptOf(createLog(), 4, 5)
    moved.excerpt!.previousHead = Buffer.alloc(32)
    expect((await verifyLog(moved, [publicJwk])).status).toBe('broken')
  })
})
