import { isUtf8 } from 'node:buffer'
import { sha256 } from '../kernel/sha256.ts'

/** What the chain needs of one stored row. The hashes are those of the bytes as they are stored. */
export type LaneRow = {
  seq: number
  chainId: string
  scopeId: string
  occurredAt: string
  keepHash: Buffer
  detailHash: Buffer
  isPruned: boolean
}

/** One stored block. `rows` holds null for a row that is not of the stored form. An empty block ends its lane. */
export type LaneBlock = { firstSeq: number; count: number; headHash: Buffer; rows: readonly (LaneRow | null)[] }

const TAB = 0x09
const LINE_FEED = 0x0a
const HASH_MARK = 0x23
const PRUNED = /^[0-9a-f]{64}$/
const KEEP_PREFIX = Buffer.from('alter.audit.keep.v1\n')
const DETAIL_PREFIX = Buffer.from('alter.audit.detail.v1\n')

const prefixedHash = (prefix: Buffer, bytes: Buffer): Buffer => sha256(Buffer.concat([prefix, bytes]))

/** The lines of a stored block, with the bytes of each part. Null: not of the form `keep TAB detail LF` (chain.ts). */
export function* storedLines(rows: Buffer): Generator<{ keep: Buffer; detail: Buffer } | null> {
  let from = 0
  while (from < rows.length) {
    const end = rows.indexOf(LINE_FEED, from)
    const line = rows.subarray(from, end < 0 ? rows.length : end)
    const tab = line.indexOf(TAB)
    yield end < 0 || tab < 0 ? null : { keep: line.subarray(0, tab), detail: line.subarray(tab + 1) }
    from = end < 0 ? rows.length : end + 1
  }
}

/** Reads the rows of a stored block; a row that cannot be read is null, never an error. */
export function readLaneRows(rows: Buffer): (LaneRow | null)[] {
  const read: (LaneRow | null)[] = []
  for (const line of storedLines(rows)) read.push(line === null ? null : readLaneRow(line.keep, line.detail))
  return read
}

function readLaneRow(keep: Buffer, detail: Buffer): LaneRow | null {
  const isPruned = detail[0] === HASH_MARK
  const pruned = isPruned ? detail.toString('latin1', 1) : ''
  if (isPruned && !PRUNED.test(pruned)) return null
  if (!isUtf8(keep) || !isUtf8(detail)) return null
  const members = keepMembers(keep.toString('utf8'))
  if (members === null) return null
  return {
    ...members,
    keepHash: prefixedHash(KEEP_PREFIX, keep),
    detailHash: isPruned ? Buffer.from(pruned, 'hex') : prefixedHash(DETAIL_PREFIX, detail),
    isPruned,
  }
}

/** The members of a keep part that say where the row belongs; null when it is none. */
export function keepMembers(keep: string): Pick<LaneRow, 'seq' | 'chainId' | 'scopeId' | 'occurredAt'> | null {
  let parsed: unknown
  try {
    parsed = JSON.parse(keep)
  } catch {
    return null
  }
  const { seq, chain_id, scope_id, occurred_at } = (parsed ?? {}) as Record<string, unknown>
  const isPlaced = Number.isSafeInteger(seq) && typeof chain_id === 'string'
  if (!isPlaced || typeof scope_id !== 'string' || typeof occurred_at !== 'string') return null
  return { seq: seq as number, chainId: chain_id, scopeId: scope_id, occurredAt: occurred_at }
}
