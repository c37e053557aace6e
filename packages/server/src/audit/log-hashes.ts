import { hash } from 'node:crypto'
import { canonicalJson } from '../kernel/canonical-json.ts'
import { sha256 } from '../kernel/sha256.ts'
import type { Scope } from './audit-row.ts'

/*
 * What proves a log (docs/spec/audit-format.md#hashes). Every hash is SHA-256 over text; a hash inside a text is lower-case hex.
 *
 *   detail_h     = SHA-256("alter.audit.detail.v1\n" detail)
 *   row digest   = SHA-256("alter.audit.row.v1\n" keep TAB "#" detail_h)
 *   batch digest = SHA-256("alter.audit.batch.v1\n" row digest … row digest)
 *   genesis      = SHA-256("alter.audit.genesis.v1\n" RFC 8785 form of {app_id, organization_id, scope_id})
 *   head         = SHA-256("alter.audit.head.v1\n" previous head SPACE sequence SPACE first row SPACE count SPACE batch digest)
 *
 * A batch stores rows as lines:  keep TAB detail LF   or, once the detail is pruned,   keep TAB "#" detail_h LF
 * RFC 8785 text holds neither TAB nor LF, so the split is exact.
 */

const DETAIL_PREFIX = 'alter.audit.detail.v1\n'
const ROW_PREFIX = 'alter.audit.row.v1\n'
const BATCH_PREFIX = 'alter.audit.batch.v1\n'
const TAB = 0x09
const LINE_FEED = 0x0a
const HASH = /^[0-9a-f]{64}$/

export const detailHash = (detail: string): string => hash('sha256', DETAIL_PREFIX + detail, 'hex')
export const rowDigest = (keep: string, detailH: string): string =>
  hash('sha256', `${ROW_PREFIX}${keep}\t#${detailH}`, 'hex')
export const batchDigest = (rowDigests: readonly string[]): Buffer => sha256(BATCH_PREFIX + rowDigests.join(''))

export const genesisHead = ({ appId, organizationId, scopeId }: Scope): Buffer =>
  sha256(
    `alter.audit.genesis.v1\n${canonicalJson({ app_id: appId, organization_id: organizationId, scope_id: scopeId })}`,
  )

/** A place in the order of a scope's log: a batch, its first row, and how many rows it has. */
export type BatchPlace = { sequence: number; firstRow: number; count: number }

export function nextHead(previous: Buffer, { sequence, firstRow, count }: BatchPlace, digest: Buffer): Buffer {
  return sha256(
    `alter.audit.head.v1\n${previous.toString('hex')} ${sequence} ${firstRow} ${count} ${digest.toString('hex')}`,
  )
}

/** A typical row; a batch that outgrows the guess grows by doubling. */
const TYPICAL_ROW_BYTES = 2_048
/** A UTF-16 unit is at most three bytes of UTF-8. */
const MOST_BYTES_A_UNIT = 3
const LARGEST_KEPT_ROOM = 65_536

/** Bytes that one part of a row stands in while it is hashed, behind the prefix of its hash. Serves every row in turn: nothing here waits. */
function createRoom(prefix: string) {
  let bytes = Buffer.from(prefix)
  const start = bytes.length
  return {
    start,
    /** Writes a part, with room for `extra` bytes behind it. Returns the buffer and where the part ends. */
    write(part: string, extra = 0): { bytes: Buffer; end: number } {
      const needed = start + part.length * MOST_BYTES_A_UNIT + extra
      let room = bytes
      if (needed > room.length) {
        room = Buffer.allocUnsafeSlow(Math.max(needed, LARGEST_KEPT_ROOM))
        bytes.copy(room, 0, 0, start)
        if (room.length === LARGEST_KEPT_ROOM) bytes = room
      }
      return { bytes: room, end: start + room.write(part, start) }
    },
  }
}
const detailRoom = createRoom(DETAIL_PREFIX)
const keepRoom = createRoom(ROW_PREFIX)
const DIGEST_BEHIND = 2 + 64

/** Writes the rows of one batch side by side into one buffer, and makes their digest. */
export function createRowWriter(rowCount: number) {
  let bytes = Buffer.allocUnsafe(rowCount * TYPICAL_ROW_BYTES)
  let length = 0
  let digests = ''
  return {
    /** Returns where the line is. */
    write(keep: string, detail: string): { lineAt: number; lineBytes: number } {
      const second = detailRoom.write(detail)
      const detailH = hash('sha256', second.bytes.subarray(0, second.end), 'hex')
      const first = keepRoom.write(keep, DIGEST_BEHIND)
      const hashed = first.end + first.bytes.write(`\t#${detailH}`, first.end, 'latin1')
      digests += hash('sha256', first.bytes.subarray(0, hashed), 'hex')

      const needed = length + first.end + second.end
      if (needed > bytes.length) {
        const larger = Buffer.allocUnsafe(Math.max(needed, bytes.length * 2))
        bytes.copy(larger, 0, 0, length)
        bytes = larger
      }
      const lineAt = length
      length += first.bytes.copy(bytes, length, keepRoom.start, first.end)
      bytes[length++] = TAB
      length += second.bytes.copy(bytes, length, detailRoom.start, second.end)
      bytes[length++] = LINE_FEED
      return { lineAt, lineBytes: length - 1 - lineAt }
    },
    rows: (): Buffer => bytes.subarray(0, length),
    digest: (): Buffer => sha256(BATCH_PREFIX + digests),
  }
}

/** One row as stored. `detail` is null once pruned; `detailHash`, in hex, is always known. */
export type StoredRow = { keep: string; detail: string | null; detailHash: string }

/** The rows of a stored batch. A line that is not of the stored form is null, never an error: the caller reports the place. */
export function decodeRows(rows: Buffer): (StoredRow | null)[] {
  const read: (StoredRow | null)[] = []
  for (let from = 0; from < rows.length; ) {
    const end = rows.indexOf(LINE_FEED, from)
    read.push(end < 0 ? null : decodeLine(rows.subarray(from, end)))
    from = end < 0 ? rows.length : end + 1
  }
  return read
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Null: not of the form `keep TAB detail`. */
export function decodeLine(line: Buffer): StoredRow | null {
  let text: string
  try {
    text = utf8.decode(line)
  } catch {
    return null
  }
  const at = text.indexOf('\t')
  if (at < 0) return null
  const keep = text.slice(0, at)
  const detail = text.slice(at + 1)
  if (!detail.startsWith('#')) return { keep, detail, detailHash: detailHash(detail) }
  const pruned = detail.slice(1)
  return HASH.test(pruned) ? { keep, detail: null, detailHash: pruned } : null
}
