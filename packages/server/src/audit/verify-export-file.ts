import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { genesisHash } from './chain.ts'
import type { SignedCheckpoint } from './checkpoint.ts'
import { decodeExportCheckpoint, decodeExportHeader, decodeExportRow, type ExportHeader } from './export-file.ts'
import type { LaneBlock } from './lane-row.ts'
import { type LaneStart, LogBroken, type PublicJwk, type Verification, verifyLanes } from './verify-lanes.ts'

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
 * Proves an export without the server that made it. Holds a few hundred bytes of each row in memory.
 * Throws `ExportFileError` for a key file that cannot be used, and what reading a file throws.
 */
export async function verifyExportFile({ ndjsonPath, checkpointsPath, jwksPath }: ExportFiles): Promise<Verification> {
  const keys = await readKeys(jwksPath)
  try {
    const { header, lanes } = await readRows(ndjsonPath)
    const excerpt = new Map<string, LaneStart>()
    for (const { chain_id: chainId, from_seq: fromSeq, previous_hash: previousHash } of header.lanes) {
      excerpt.set(chainId, { fromSeq, previousHash: Buffer.from(previousHash, 'hex') })
    }
    return await verifyLanes(
      {
        scopeId: header.scope_id,
        chainIds: lanes.keys(),
        blocks: (chainId) => lanes.get(chainId) ?? [],
        checkpoints: readCheckpoints(checkpointsPath),
        ...(header.whole ? {} : { excerpt }),
      },
      keys,
    )
  } catch (error) {
    if (!(error instanceof LogBroken)) throw error
    return brokenAt(error)
  }
}

/** Every line of the file, checked against the header: the lanes it promises, whole and in its order. */
async function readRows(path: string): Promise<{ header: ExportHeader; lanes: Map<string, LaneBlock[]> }> {
  let header: ExportHeader | null = null
  const lanes = new Map<string, LaneBlock[]>()
  let at = 0
  for await (const line of linesOf(path)) {
    if (header === null) {
      header = line === null ? null : decodeExportHeader(line)
      if (header === null) throw new LogBroken(null, 0, 'hash_mismatch')
      assertStarts(header)
      continue
    }
    while (at < header.lanes.length && isComplete(lanes, header.lanes[at]!)) at++
    const lane = header.lanes[at]
    const read = line === null ? null : decodeExportRow(line)
    if (read === null) {
      const last = header.lanes.at(-1)
      throw new LogBroken(
        lane?.chain_id ?? last?.chain_id ?? null,
        lane === undefined ? (last?.to_seq ?? 0) + 1 : nextSeq(lanes, lane),
        'hash_mismatch',
      )
    }
    const { row, rowHash } = read
    if (!header.lanes.some((promised) => promised.chain_id === row.chainId)) {
      throw new LogBroken(row.chainId, row.seq, 'order')
    }
    const block = { firstSeq: row.seq, count: 1, headHash: Buffer.from(rowHash, 'hex'), rows: [row] }
    const blocks = lanes.get(row.chainId)
    if (blocks === undefined) lanes.set(row.chainId, [block])
    else blocks.push(block)
  }
  if (header === null) throw new LogBroken(null, 0, 'hash_mismatch')
  for (const lane of header.lanes) assertComplete(lanes.get(lane.chain_id) ?? [], lane)
  return { header, lanes }
}

type PromisedLane = ExportHeader['lanes'][number]

function assertStarts({ whole, lanes }: ExportHeader): void {
  for (const lane of lanes) {
    if (!whole) continue
    if (lane.from_seq !== 1) throw new LogBroken(lane.chain_id, 1, 'gap')
    const genesis = genesisHash(lane.chain_id).toString('hex')
    if (lane.previous_hash !== genesis) throw new LogBroken(lane.chain_id, 1, 'hash_mismatch')
  }
}

const isComplete = (lanes: ReadonlyMap<string, LaneBlock[]>, lane: PromisedLane): boolean =>
  (lanes.get(lane.chain_id)?.at(-1)?.firstSeq ?? 0) >= lane.to_seq

const nextSeq = (lanes: ReadonlyMap<string, LaneBlock[]>, lane: PromisedLane): number =>
  (lanes.get(lane.chain_id)?.at(-1)?.firstSeq ?? lane.from_seq - 1) + 1

/** Rows that the header promises and the file lacks; what lies between is for the verifier. */
function assertComplete(blocks: readonly LaneBlock[], lane: PromisedLane): void {
  const last = blocks.at(-1)
  if (last === undefined) throw new LogBroken(lane.chain_id, lane.from_seq, 'lane_missing')
  for (const [index, block] of blocks.entries()) {
    const expected = lane.from_seq + index
    if (block.firstSeq === expected) continue
    const isElsewhere = blocks.some((other) => other.firstSeq === expected)
    throw new LogBroken(lane.chain_id, expected, isElsewhere || block.firstSeq < expected ? 'order' : 'gap')
  }
  if (last.firstSeq < lane.to_seq) throw new LogBroken(lane.chain_id, last.firstSeq + 1, 'gap')
  if (last.firstSeq > lane.to_seq) throw new LogBroken(lane.chain_id, lane.to_seq + 1, 'order')
}

async function* readCheckpoints(path: string): AsyncGenerator<SignedCheckpoint> {
  let number = 0
  for await (const line of linesOf(path)) {
    number += 1
    const signed = line === null ? null : decodeExportCheckpoint(line, number)
    if (signed === null) throw new LogBroken(null, number, 'checkpoint_mismatch')
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
  status: 'broken',
  scope_id: '',
  lanes: [],
  rows_checked: 0,
  details_pruned: 0,
  checkpoints_checked: 0,
  unsigned_tail_rows: 0,
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
  const { chain_id, seq, kind } = first_error ?? { chain_id: null, seq: 0, kind: 'hash_mismatch' }
  const place = chain_id === null ? `checkpoint ${seq}` : `row ${seq} of lane ${chain_id}`
  return `This log was changed: ${kind} at ${place}.`
}
