import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { SignedCheckpoint } from './checkpoint.ts'
import { decodeExportBatch, decodeExportCheckpoint, decodeExportHeader, decodeExportRow } from './export-file.ts'
import type { StoredRow } from './log-hashes.ts'
import {
  type LogBatch,
  LogBroken,
  nothingChecked,
  type PublicJwk,
  startOf,
  type Verification,
  verifyLog,
} from './verify-log.ts'

export type ExportFiles = {
  /** The rows of an export, as `GET …/audit/exports/{id}/rows` gave them. */
  ndjsonPath: string
  /** The checkpoints of the same export. */
  checkpointsPath: string
  /** The JWK set of `/.well-known/alter-audit-keys.json`, from a source that is trusted. */
  jwksPath: string
}

/** What is wrong with a file of the three beyond what it says about the log. */
export class ExportFileError extends Error {
  constructor(path: string, what: string) {
    super(`"${path}" ${what}.`)
    this.name = 'ExportFileError'
  }
}

/**
 * Proves an export without the server that made it. Holds one batch in memory.
 * Throws `ExportFileError` for a key file that cannot be used, and what reading a file throws.
 */
export async function verifyExportFile({ ndjsonPath, checkpointsPath, jwksPath }: ExportFiles): Promise<Verification> {
  const keys = await readKeys(jwksPath)
  const lines = linesOf(ndjsonPath)
  const first = await lines.next()
  const header = first.done || first.value === null ? null : decodeExportHeader(first.value)
  if (header === null) return brokenAt(new LogBroken('hash_mismatch', {}))
  const { scope, from_sequence: sequence, first_row: firstRow, to_sequence: lastSequence } = header
  const start = { sequence, firstRow, previousHead: Buffer.from(header.previous_head, 'hex') }
  if (header.whole) {
    const whole = startOf(scope)
    if (sequence !== 1 || firstRow !== 1) return brokenAt(new LogBroken('gap', { sequence: 1, row_no: 1 }))
    if (!start.previousHead.equals(whole.previousHead)) {
      return brokenAt(new LogBroken('hash_mismatch', { sequence: 1, row_no: 1 }))
    }
  }
  return verifyLog(
    {
      scope,
      batches: readBatches(lines, start),
      lastSequence,
      checkpoints: readCheckpoints(checkpointsPath),
      excerpt: header.whole ? undefined : start,
    },
    keys,
  )
}

/** The batches of the file, each with the rows behind its line. */
async function* readBatches(
  lines: AsyncIterable<string | null>,
  start: { sequence: number; firstRow: number },
): AsyncGenerator<LogBatch> {
  let batch: (Omit<LogBatch, 'rows'> & { rows: (StoredRow | null)[] }) | undefined
  for await (const line of lines) {
    const begun = line === null ? null : decodeExportBatch(line)
    if (begun !== null) {
      if (batch !== undefined) yield batch
      batch = { ...begun, rows: [] }
      continue
    }
    if (batch === undefined) throw new LogBroken('hash_mismatch', { sequence: start.sequence, row_no: start.firstRow })
    const row = line === null ? null : decodeExportRow(line)
    const rowNo = batch.firstRow + batch.rows.length
    if (row !== null && row.rowNo !== rowNo) {
      throw new LogBroken(row.rowNo > rowNo ? 'gap' : 'order', { sequence: batch.sequence, row_no: rowNo })
    }
    batch.rows.push(row)
  }
  if (batch !== undefined) yield batch
}

async function* readCheckpoints(path: string): AsyncGenerator<SignedCheckpoint> {
  let number = 0
  for await (const line of linesOf(path)) {
    number += 1
    const signed = line === null ? null : decodeExportCheckpoint(line, number)
    if (signed === null) throw new LogBroken('checkpoint_mismatch', { checkpoint_no: number })
    yield signed
  }
}

async function readKeys(path: string): Promise<readonly PublicJwk[]> {
  let parsed: unknown
  try {
    parsed = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    if (error instanceof SyntaxError) throw new ExportFileError(path, 'is not JSON')
    throw error
  }
  const { keys } = (parsed ?? {}) as { keys?: unknown }
  if (!Array.isArray(keys)) throw new ExportFileError(path, 'is not a JWK set: it has no "keys"')
  return keys.filter((key): key is PublicJwk => typeof key === 'object' && key !== null)
}

const LINE_FEED = 0x0a

/** The lines of a file without their ends; null for one that is not UTF-8. */
async function* linesOf(path: string): AsyncGenerator<string | null> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const decode = (bytes: Buffer): string | null => {
    try {
      return decoder.decode(bytes)
    } catch {
      return null
    }
  }
  let rest: Buffer[] = []
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let from = 0
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, from)) {
      yield decode(Buffer.concat([...rest, chunk.subarray(from, end)]))
      rest = []
      from = end + 1
    }
    if (from < chunk.length) rest.push(chunk.subarray(from))
  }
  if (rest.length > 0) yield decode(Buffer.concat(rest))
}

const brokenAt = ({ place }: LogBroken): Verification => ({
  ...nothingChecked(''),
  status: 'broken',
  first_error: place,
})

/**
 * The command `audit verify-file`: prints the result as JSON and a sentence about it. Resolves with 0 for a whole and unbroken
 * export, else with 1: an excerpt proves nothing about what it leaves out.
 */
export async function verifyAuditFile(options: {
  file: string
  jwksFile: string
  checkpointsFile: string
  say: (text: string) => void
}): Promise<number> {
  const { file, jwksFile, checkpointsFile, say } = options
  const result = await verifyExportFile({
    ndjsonPath: file,
    jwksPath: jwksFile,
    checkpointsPath: checkpointsFile,
  })
  say(`${JSON.stringify(result, null, 2)}\n`)
  say(`${sentenceOf(result)}\n`)
  return result.status === 'ok' ? 0 : 1
}

function sentenceOf({ status, rows_checked, unsigned_tail_rows, first_error }: Verification): string {
  const tail = unsigned_tail_rows === 0 ? '' : ` No checkpoint covers the last ${unsigned_tail_rows} yet.`
  if (status === 'ok') return `All ${rows_checked} rows are as they were written.${tail}`
  if (status === 'incomplete') {
    return `The ${rows_checked} rows of this excerpt are unbroken. It proves nothing about rows that it leaves out.${tail}`
  }
  const { checkpoint_no, sequence, row_no, kind } = first_error!
  const place =
    checkpoint_no !== null
      ? `checkpoint ${checkpoint_no}`
      : sequence === null
        ? 'its first line'
        : `batch ${sequence}${row_no === null ? '' : `, row ${row_no}`}`
  return `This log was changed: ${kind} at ${place}.`
}
