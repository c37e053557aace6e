import { readFile, writeFile } from 'node:fs/promises'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type AuditReadsTest, createAuditReadsTest } from './audit-reads-fixture.ts'
import { decodeRows, encodeRow, genesisHash, keepHash, rowHash } from './chain.ts'
import { verifyExportFile } from './verify-export-file.ts'
import type { IntegrityError } from './verify-lanes.ts'

type Stored = { chain_id: string; first_seq: number; count: number; head_hash: Buffer; rows: Buffer }

const blocksOf = (t: AuditReadsTest) =>
  t.asOwner<Stored>(
    `select chain_id, first_seq::int, count, head_hash, rows from audit_blocks
     where app_id = $1 order by chain_id, first_seq`,
    [t.app.appId],
  )

/** A log with a lane that ended, one that goes on, and the lane of changes, all under checkpoints, then a tail. */
async function createLog(): Promise<AuditReadsTest & { ended: string; open: string }> {
  const t = await createAuditReadsTest()
  const other = t.startProcess()
  await Promise.all(Array.from({ length: 5 }, () => t.call({}, other)))
  await t.call()
  t.clock.advance(1_000)
  expect(await t.reads.issueDueCheckpoints({ all: true })).toBe(1)
  await other.close()
  await Promise.all(Array.from({ length: 8 }, () => t.call()))
  await t.audit.change(t.scope, async (_tx, record) =>
    record({ event: 'app.updated', stream: 'portal', outcome: 'changed', reason: 'café' }),
  )
  t.clock.advance(1_000)
  expect(await t.reads.issueDueCheckpoints({ all: true })).toBe(1)
  await t.call()
  const lanes = await t.asOwner<{ chain_id: string; is_open: boolean }>(
    `select chain_id, closed_at is null as is_open from audit_lanes where app_id = $1 and purpose = 'calls'`,
    [t.app.appId],
  )
  const lane = (isOpen: boolean) => lanes.find(({ is_open }) => is_open === isOpen)!.chain_id
  return { ...t, ended: lane(false), open: lane(true) }
}

type Tampered = Awaited<ReturnType<typeof createLog>>

const update = (t: Tampered, block: Stored) =>
  t.asOwner(
    'update audit_blocks set rows = $4, head_hash = $5, count = $6 where app_id = $1 and chain_id = $2 and first_seq = $3',
    [t.app.appId, block.chain_id, block.first_seq, block.rows, block.head_hash, block.count],
  )

/** Gives the blocks of a lane fitting hashes again: what somebody with the database but without the signing key can do. */
async function rechain(t: Tampered, chainId: string): Promise<void> {
  let hash = genesisHash(chainId)
  for (const block of (await blocksOf(t)).filter(({ chain_id }) => chain_id === chainId)) {
    for (const row of decodeRows(block.rows)) hash = rowHash(hash, keepHash(row.keep), row.detailHash)
    await update(t, { ...block, head_hash: hash })
  }
}

const replaceIn = (bytes: Buffer, from: string, to: string): Buffer => {
  const text = bytes.toString('utf8')
  if (!text.includes(from)) throw new Error(`no ${from}`)
  return Buffer.from(text.replace(from, to))
}

/** A block of more than one row of the lane that goes on. */
async function blockOfMany(t: Tampered): Promise<Stored> {
  const block = (await blocksOf(t)).find(({ chain_id, count }) => chain_id === t.open && count > 2)
  if (block === undefined) throw new Error('no block of several rows')
  return block
}

/** What both verifiers say of the log now. `export` is made of what the database holds after the change. */
async function bothErrors(t: Tampered): Promise<{ server: IntegrityError | null; offline: IntegrityError | null }> {
  const offline = await t.verifyOffline()
  const server = await t.reads.checkIntegrity(t.app.appId, t.operator)
  expect(server.status).toBe(server.first_error === null ? 'ok' : 'broken')
  expect(offline.status).toBe(offline.first_error === null ? 'ok' : 'broken')
  return { server: server.first_error, offline: offline.first_error }
}

describe('a log nobody touched', () => {
  test('is ok on the server and offline, and the check is recorded', async () => {
    await using t = await createLog()
    const server = await t.reads.checkIntegrity(t.app.appId, t.operator)
    expect(server).toMatchObject({ status: 'ok', rows_checked: 31, checkpoints_checked: 2, unsigned_tail_rows: 2 })
    expect(server.lanes).toHaveLength(3)
    // The export issues a checkpoint first, and by then the check itself is a row.
    expect(await t.verifyOffline()).toMatchObject({ status: 'ok', rows_checked: 32, unsigned_tail_rows: 0 })
    expect(await t.events()).toContain('integrity.checked')
    expect(await t.events()).not.toContain('system.integrity_failed')
  })

  test('an excerpt by time is incomplete, whatever it holds', async () => {
    await using t = await createLog()
    const paths = await t.exportFiles({ start: new Date(t.clock.now() - 1_500).toISOString() })
    const result = await verifyExportFile(paths)
    expect(result).toMatchObject({ status: 'incomplete', first_error: null })
    expect(result.rows_checked).toBeGreaterThan(10)
    expect(result.rows_checked).toBeLessThan(31)
  })
})

describe('a change to what is stored is named, by the server and offline', () => {
  test('a keep part', async () => {
    await using t = await createLog()
    const block = await blockOfMany(t)
    await update(t, { ...block, rows: replaceIn(block.rows, '"outcome":"allowed"', '"outcome":"success"') })
    const { server, offline } = await bothErrors(t)
    expect(server).toEqual({ chain_id: t.open, seq: block.first_seq, kind: 'hash_mismatch' })
    // An export has a hash for each row, but what the database lost it cannot know: the break shows at the end of the block.
    expect(offline).toEqual({ chain_id: t.open, seq: block.first_seq + block.count - 1, kind: 'hash_mismatch' })
    expect(await t.events()).toContain('system.integrity_failed')
  })

  test('a detail part of the unsigned tail', async () => {
    await using t = await createLog()
    const last = (await blocksOf(t)).filter(({ chain_id }) => chain_id === t.open).at(-1)!
    await update(t, { ...last, rows: replaceIn(last.rows, 'currency=eur', 'currency=usd') })
    const place = { chain_id: t.open, seq: last.first_seq, kind: 'hash_mismatch' }
    expect(await t.reads.checkIntegrity(t.app.appId, t.operator)).toMatchObject({
      status: 'broken',
      first_error: place,
    })
  })

  test('a head hash', async () => {
    await using t = await createLog()
    const block = await blockOfMany(t)
    block.head_hash[3]! ^= 0x10
    await update(t, block)
    const { server, offline } = await bothErrors(t)
    expect(server).toEqual({ chain_id: t.open, seq: block.first_seq, kind: 'hash_mismatch' })
    expect(offline).toEqual({ chain_id: t.open, seq: block.first_seq + block.count - 1, kind: 'hash_mismatch' })
  })

  test('a row and every hash after it', async () => {
    await using t = await createLog()
    const block = await blockOfMany(t)
    await update(t, { ...block, rows: replaceIn(block.rows, '"outcome":"allowed"', '"outcome":"success"') })
    await rechain(t, t.open)
    const { server, offline } = await bothErrors(t)
    expect(server).toMatchObject({ chain_id: t.open, kind: 'checkpoint_mismatch' })
    expect(offline).toEqual(server)
  })

  test.each([[false], [true]])('a row taken out of its block (hashes made to fit: %s)', async (fits) => {
    await using t = await createLog()
    const block = await blockOfMany(t)
    const kept = decodeRows(block.rows).filter((_row, index) => index !== 1)
    const rows = Buffer.from(kept.map((row) => encodeRow(row.keep, row.detail, row.detailHash)).join(''))
    await update(t, { ...block, rows, count: kept.length })
    if (fits) await rechain(t, t.open)
    const { server, offline } = await bothErrors(t)
    expect(server).toEqual({ chain_id: t.open, seq: block.first_seq + 1, kind: 'gap' })
    expect(offline).toEqual(server)
  })

  test.each([[false], [true]])('two rows that changed places (hashes made to fit: %s)', async (fits) => {
    await using t = await createLog()
    const block = await blockOfMany(t)
    const [first, second, ...rest] = decodeRows(block.rows)
    const rows = [second!, first!, ...rest].map((row) => encodeRow(row.keep, row.detail, row.detailHash)).join('')
    await update(t, { ...block, rows: Buffer.from(rows) })
    if (fits) await rechain(t, t.open)
    const { server, offline } = await bothErrors(t)
    expect(server).toEqual({ chain_id: t.open, seq: block.first_seq, kind: 'order' })
    expect(offline).toEqual(server)
  })

  test('a block taken out', async () => {
    await using t = await createLog()
    const block = await blockOfMany(t)
    await t.asOwner('delete from audit_blocks where app_id = $1 and chain_id = $2 and first_seq = $3', [
      t.app.appId,
      block.chain_id,
      block.first_seq,
    ])
    const { server, offline } = await bothErrors(t)
    expect(server).toEqual({ chain_id: t.open, seq: block.first_seq, kind: 'gap' })
    expect(offline).toEqual(server)
  })

  test('a lane taken out, its entry too', async () => {
    await using t = await createLog()
    await t.asOwner('delete from audit_blocks where app_id = $1 and chain_id = $2', [t.app.appId, t.ended])
    await t.asOwner('delete from audit_lanes where app_id = $1 and chain_id = $2', [t.app.appId, t.ended])
    const { server, offline } = await bothErrors(t)
    expect(server).toMatchObject({ chain_id: t.ended, kind: 'lane_missing' })
    expect(offline).toEqual(server)
  })

  test('a lane that goes on after its end', async () => {
    await using t = await createLog()
    const blocks = (await blocksOf(t)).filter(({ chain_id }) => chain_id === t.ended)
    const [last, closing] = [blocks.at(-2)!, blocks.at(-1)!]
    expect(closing.count).toBe(0)
    const row = decodeRows(last.rows).at(-1)!
    const keep = row.keep.replace(/"seq":\d+/, `"seq":${closing.first_seq}`)
    const rows = Buffer.from(encodeRow(keep, row.detail, row.detailHash))
    const head_hash = rowHash(closing.head_hash, keepHash(keep), row.detailHash)
    await update(t, { ...closing, rows, head_hash, count: 1 })
    const { server, offline } = await bothErrors(t)
    expect(server).toEqual({ chain_id: t.ended, seq: closing.first_seq, kind: 'lane_reopened' })
    expect(offline).toEqual(server)
  })

  test.each([
    ['message', `replace(message, '"closed":false', '"closed":true')`, 'bad_signature'],
    ['signature', 'reverse(signature)', 'bad_signature'],
    ['key_id', 'reverse(key_id)', 'unknown_key'],
    ['message_hash', 'sha256(message_hash)', 'checkpoint_mismatch'],
  ])('the %s of a checkpoint', async (column, value, kind) => {
    await using t = await createLog()
    await t.asOwner(`update audit_checkpoints set ${column} = ${value} where app_id = $1 and checkpoint_no = 1`, [
      t.app.appId,
    ])
    const { first_error } = await t.reads.checkIntegrity(t.app.appId, t.operator)
    expect(first_error).toEqual({ chain_id: null, seq: 1, kind })
    const offline = await t.verifyOffline()
    expect(offline.first_error).toMatchObject({ chain_id: null, seq: 1 })
  })

  test('a checkpoint taken out', async () => {
    await using t = await createLog()
    await t.asOwner('delete from audit_checkpoints where app_id = $1 and checkpoint_no = 1', [t.app.appId])
    const { server, offline } = await bothErrors(t)
    expect(server).toEqual({ chain_id: null, seq: 2, kind: 'checkpoint_mismatch' })
    expect(offline).toMatchObject({ chain_id: null, kind: 'checkpoint_mismatch' })
  })
})

describe('an exported file', () => {
  test('is ok as it was written, and with any bit of it flipped it is not', async () => {
    await using t = await createLog()
    const paths = await t.exportFiles()
    expect((await verifyExportFile(paths)).status).toBe('ok')
    const files = [paths.ndjsonPath, paths.checkpointsPath]
    const contents = await Promise.all(files.map((path) => readFile(path)))
    const place = fc
      .nat(1)
      .chain((file) => fc.record({ file: fc.constant(file), at: fc.nat(contents[file]!.length - 1), bit: fc.nat(7) }))
    await fc.assert(
      fc.asyncProperty(place, async ({ file, at, bit }) => {
        const flipped = Buffer.from(contents[file]!)
        flipped[at]! ^= 1 << bit
        await writeFile(files[file]!, flipped)
        const { status, first_error } = await verifyExportFile(paths)
        await writeFile(files[file]!, contents[file]!)
        return status === 'broken' && first_error !== null
      }),
      { numRuns: 300 },
    )
    expect((await verifyExportFile(paths)).status).toBe('ok')
  })

  test('without its last rows, or with lines in another order, is broken', async () => {
    await using t = await createLog()
    const paths = await t.exportFiles()
    const lines = (await readFile(paths.ndjsonPath, 'utf8')).trimEnd().split('\n')
    const errorOf = async (changed: readonly string[]) => {
      await writeFile(paths.ndjsonPath, `${changed.join('\n')}\n`)
      return (await verifyExportFile(paths)).first_error
    }
    // The last lane has one row, the one before it many.
    expect(await errorOf(lines.slice(0, -1))).toMatchObject({ seq: 1, kind: 'lane_missing' })
    expect(await errorOf(lines.slice(0, -2))).toMatchObject({ kind: 'gap' })
    expect(await errorOf([lines[0]!, lines[2]!, lines[1]!, ...lines.slice(3)])).toMatchObject({ seq: 1, kind: 'order' })
    expect(await errorOf([...lines, lines.at(-1)!])).toMatchObject({ kind: 'order' })
    expect(await errorOf(lines.slice(1))).toEqual({ chain_id: null, seq: 0, kind: 'hash_mismatch' })
  })

  test('is not proven by the keys of somebody else', async () => {
    await using t = await createLog()
    await using other = await createLog()
    const paths = await t.exportFiles()
    const { jwksPath } = await other.exportFiles()
    expect((await verifyExportFile({ ...paths, jwksPath })).first_error).toMatchObject({ kind: 'unknown_key' })
  })
})
