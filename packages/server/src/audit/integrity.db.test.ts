import { readFile, writeFile } from 'node:fs/promises'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type AuditReadsTest, createAuditReadsTest } from './audit-reads-fixture.ts'
import { batchDigest, decodeRows, genesisHead, nextHead, rowDigest } from './log-hashes.ts'
import { verifyExportFile } from './verify-export-file.ts'
import type { IntegrityError } from './verify-log.ts'

type Stored = { sequence: number; first_row: number; count: number; head: Buffer; rows: Buffer }

const batchesOf = (t: AuditReadsTest) =>
  t.asOwner<Stored>(
    `select sequence::int, first_row::int, count, head, rows from audit_batches
     where scope_id = $1 and sequence is not null order by sequence`,
    [t.app.appId],
  )

/** A log that two processes wrote, calls and changes, under two checkpoints, then a tail. */
async function createLog(): Promise<AuditReadsTest> {
  const t = await createAuditReadsTest()
  const other = t.startProcess()
  const calls = (count: number, log = t.audit) => Promise.all(Array.from({ length: count }, () => t.call({}, log)))
  await calls(5, other)
  await t.call()
  t.clock.advance(1_000)
  expect(await t.reads.sequenceDue({ all: true })).toBe(12)
  await other.close()
  await calls(8)
  await t.audit.change(t.scope, async (_tx, record) =>
    record({ event: 'app.updated', outcome: 'changed', reason: 'café' }),
  )
  t.clock.advance(1_000)
  expect(await t.reads.sequenceDue({ all: true })).toBe(17)
  await t.call()
  await t.reads.sequenceDue()
  return t
}

type Tampered = Awaited<ReturnType<typeof createLog>>

const update = (t: Tampered, batch: Stored) =>
  t.asOwner(
    'update audit_batches set rows = $3, head = $4, count = $5, first_row = $6 where scope_id = $1 and sequence = $2',
    [t.app.appId, batch.sequence, batch.rows, batch.head, batch.count, batch.first_row],
  )

/** Gives the batches fitting heads again: what somebody with the database but without the signing key can do. */
async function rechain(t: Tampered): Promise<void> {
  let head = genesisHead(t.scope)
  let firstRow = 1
  for (const batch of await batchesOf(t)) {
    const rows = decodeRows(batch.rows).map((row) => row!)
    const digest = batchDigest(rows.map((row) => rowDigest(row.keep, row.detailHash)))
    head = nextHead(head, { sequence: batch.sequence, firstRow, count: rows.length }, digest)
    await update(t, { ...batch, head, count: rows.length, first_row: firstRow })
    firstRow += rows.length
  }
}

const linesOf = ({ rows }: Stored): string[] => rows.toString('utf8').split('\n').slice(0, -1)
const rowsOf = (lines: readonly string[]): Buffer => Buffer.from(lines.map((line) => `${line}\n`).join(''))

const replaceIn = (bytes: Buffer, from: string, to: string): Buffer => {
  const text = bytes.toString('utf8')
  if (!text.includes(from)) throw new Error(`no ${from}`)
  return Buffer.from(text.replace(from, to))
}

/** A batch of more than one row under the second checkpoint. */
async function batchOfMany(t: Tampered): Promise<Stored> {
  const batch = (await batchesOf(t)).find(({ first_row, count }) => first_row > 12 && count > 2)
  if (batch === undefined) throw new Error('no batch of several rows')
  return batch
}
const at = ({ sequence, first_row }: Stored, kind: string, row_no: number | null = first_row) => ({
  checkpoint_no: null,
  sequence,
  row_no,
  kind,
})
const atCheckpoint = (checkpoint_no: number, kind: string) => ({ checkpoint_no, sequence: null, row_no: null, kind })

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
    expect(server.batches).toMatchObject({ from: 1 })
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
    const batch = await batchOfMany(t)
    await update(t, { ...batch, rows: replaceIn(batch.rows, '"outcome":"allowed"', '"outcome":"success"') })
    const { server, offline } = await bothErrors(t)
    expect(server).toEqual(at(batch, 'hash_mismatch'))
    expect(offline).toEqual(server)
    expect(await t.events()).toContain('system.integrity_failed')
  })

  test('a detail part of the unsigned tail', async () => {
    await using t = await createLog()
    const last = (await batchesOf(t)).at(-1)!
    await update(t, { ...last, rows: replaceIn(last.rows, 'currency=eur', 'currency=usd') })
    expect(await t.reads.checkIntegrity(t.app.appId, t.operator)).toMatchObject({
      status: 'broken',
      first_error: at(last, 'hash_mismatch'),
    })
  })

  test('a head', async () => {
    await using t = await createLog()
    const batch = await batchOfMany(t)
    batch.head[3]! ^= 0x10
    await update(t, batch)
    const { server, offline } = await bothErrors(t)
    expect(server).toEqual(at(batch, 'hash_mismatch'))
    expect(offline).toEqual(server)
  })

  test('a row and every hash after it', async () => {
    await using t = await createLog()
    const batch = await batchOfMany(t)
    await update(t, { ...batch, rows: replaceIn(batch.rows, '"outcome":"allowed"', '"outcome":"success"') })
    await rechain(t)
    const { server, offline } = await bothErrors(t)
    expect(server).toEqual(atCheckpoint(2, 'checkpoint_mismatch'))
    expect(offline).toEqual(server)
  })

  test.each([[false], [true]])('a row taken out of its batch (hashes made to fit: %s)', async (fits) => {
    await using t = await createLog()
    const batch = await batchOfMany(t)
    await update(t, { ...batch, rows: rowsOf(linesOf(batch).toSpliced(1, 1)) })
    if (fits) await rechain(t)
    const { server, offline } = await bothErrors(t)
    expect(server).toEqual(
      fits ? atCheckpoint(2, 'checkpoint_mismatch') : at(batch, 'gap', batch.first_row + batch.count - 1),
    )
    expect(offline).toEqual(server)
  })

  test.each([[false], [true]])('two rows that changed places (hashes made to fit: %s)', async (fits) => {
    await using t = await createLog()
    const batch = await batchOfMany(t)
    const [first, second, ...rest] = linesOf(batch)
    await update(t, { ...batch, rows: rowsOf([second!, first!, ...rest]) })
    if (fits) await rechain(t)
    const { server, offline } = await bothErrors(t)
    expect(server).toEqual(fits ? atCheckpoint(2, 'checkpoint_mismatch') : at(batch, 'hash_mismatch'))
    expect(offline).toEqual(server)
  })

  test('a batch taken out', async () => {
    await using t = await createLog()
    const batch = await batchOfMany(t)
    await t.asOwner('delete from audit_batches where scope_id = $1 and sequence = $2', [t.app.appId, batch.sequence])
    const { server, offline } = await bothErrors(t)
    expect(server).toEqual(at(batch, 'gap'))
    expect(offline).toEqual(server)
  })

  test('the end of the log taken out, signed or not', async () => {
    await using t = await createLog()
    const last = (await batchesOf(t)).at(-1)!
    await t.asOwner('delete from audit_batches where scope_id = $1 and sequence = $2', [t.app.appId, last.sequence])
    expect((await t.reads.checkIntegrity(t.app.appId, t.operator)).first_error).toEqual(at(last, 'gap'))
    await t.asOwner('delete from audit_batches where scope_id = $1 and sequence > 3', [t.app.appId])
    expect((await t.reads.checkIntegrity(t.app.appId, t.operator)).first_error).toMatchObject({
      sequence: 4,
      kind: 'gap',
    })
  })

  test.each([
    ['message', `replace(message, '"row_no":12', '"row_no":11')`, 'bad_signature'],
    ['signature', 'reverse(signature)', 'bad_signature'],
    ['key_id', 'reverse(key_id)', 'unknown_key'],
    ['message_hash', 'sha256(message_hash)', 'checkpoint_mismatch'],
  ])('the %s of a checkpoint', async (column, value, kind) => {
    await using t = await createLog()
    await t.asOwner(`update audit_checkpoints set ${column} = ${value} where scope_id = $1 and checkpoint_no = 1`, [
      t.app.appId,
    ])
    const { first_error } = await t.reads.checkIntegrity(t.app.appId, t.operator)
    expect(first_error).toEqual(atCheckpoint(1, kind))
    const offline = await t.verifyOffline()
    expect(offline.first_error).toMatchObject({ checkpoint_no: 1 })
  })

  test('a checkpoint taken out', async () => {
    await using t = await createLog()
    await t.asOwner('delete from audit_checkpoints where scope_id = $1 and checkpoint_no = 1', [t.app.appId])
    const { server, offline } = await bothErrors(t)
    expect(server).toEqual(atCheckpoint(2, 'checkpoint_mismatch'))
    // The file says only how many checkpoints come before.
    expect(offline).toEqual(atCheckpoint(1, 'checkpoint_mismatch'))
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
    const begins = (line: string) => line.startsWith('{"batch":')
    const lastBatch = lines.findLastIndex(begins)
    expect(await errorOf(lines.slice(0, -1))).toMatchObject({ kind: 'gap' })
    expect(await errorOf(lines.slice(0, lastBatch))).toMatchObject({ kind: 'gap' })
    const many = lines.findIndex(
      (line, index) => begins(line) && lines.slice(index + 1, index + 3).every((row) => !begins(row)),
    )
    const swapped = lines.with(many + 1, lines[many + 2]!).with(many + 2, lines[many + 1]!)
    expect(await errorOf(swapped)).toMatchObject({ kind: 'gap' })
    expect(await errorOf([...lines, lines.at(-1)!])).toMatchObject({ kind: 'order' })
    expect(await errorOf([...lines, ...lines.slice(lastBatch)])).toMatchObject({ kind: 'order' })
    expect(await errorOf(lines.slice(1))).toEqual({
      checkpoint_no: null,
      sequence: null,
      row_no: null,
      kind: 'hash_mismatch',
    })
    expect(await errorOf(lines.toSpliced(1, 1))).toMatchObject({ sequence: 1, row_no: 1, kind: 'hash_mismatch' })
  })

  test('is not proven by the keys of somebody else', async () => {
    await using t = await createLog()
    await using other = await createLog()
    const paths = await t.exportFiles()
    const { jwksPath } = await other.exportFiles()
    expect((await verifyExportFile({ ...paths, jwksPath })).first_error).toMatchObject({ kind: 'unknown_key' })
  })
})
