import { sha256 } from '../kernel/sha256.ts'

/*
 * A lane is a chain of rows (all hashes are raw 32 bytes inside the formulas):
 *
 *   genesis   = SHA-256("alter.audit.genesis.v1\n" + chain_id)
 *   keep_hash = SHA-256("alter.audit.keep.v1\n"   + RFC 8785 form of the keep part)
 *   detail_h  = SHA-256("alter.audit.detail.v1\n" + RFC 8785 form of the detail part)
 *   row_hash  = SHA-256("alter.audit.row.v1\n"    + previous row_hash + keep_hash + detail_h)
 *
 * A block stores rows as lines:  keep TAB detail LF   or, once the detail is pruned,   keep TAB "#" + hex detail_h LF
 * RFC 8785 text holds neither TAB nor LF, so the split is exact.
 */

const ROW_PREFIX = Buffer.from('alter.audit.row.v1\n')
export const KEEP_PREFIX = 'alter.audit.keep.v1\n'
export const DETAIL_PREFIX = 'alter.audit.detail.v1\n'
export const TAB = Buffer.from('\t')
export const LINE_FEED = Buffer.from('\n')

export const genesisHash = (chainId: string): Buffer => sha256(`alter.audit.genesis.v1\n${chainId}`)
export const keepHash = (keep: string): Buffer => sha256(KEEP_PREFIX + keep)
export const detailHash = (detail: string): Buffer => sha256(DETAIL_PREFIX + detail)

/** A part as it is stored, with its hash: made into bytes once for both. */
export function prefixed(prefix: string, part: string): { bytes: Buffer; hash: Buffer } {
  const all = Buffer.from(prefix + part)
  return { bytes: all.subarray(prefix.length), hash: sha256(all) }
}

export function rowHash(previous: Buffer, keep: Buffer, detail: Buffer): Buffer {
  return sha256(Buffer.concat([ROW_PREFIX, previous, keep, detail], 115))
}

/** One row as stored. `detail` is null once pruned; `detailHash` is always known. */
export type StoredRow = { keep: string; detail: string | null; detailHash: Buffer }

export function encodeRow(keep: string, detail: string | null, hashOfDetail: Buffer): string {
  return `${keep}\t${detail ?? `#${hashOfDetail.toString('hex')}`}\n`
}

/** Splits a block into its rows. Throws when the bytes are not of that form: the caller reports the place. */
export function decodeRows(rows: Buffer): StoredRow[] {
  const text = rows.toString('utf8')
  if (text === '') return []
  if (!text.endsWith('\n')) throw new SyntaxError('a block must end with a line feed')
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => {
      const at = line.indexOf('\t')
      if (at < 0) throw new SyntaxError('a row must hold a keep part and a detail part')
      const keep = line.slice(0, at)
      const rest = line.slice(at + 1)
      if (!rest.startsWith('#')) return { keep, detail: rest, detailHash: detailHash(rest) }
      const pruned = Buffer.from(rest.slice(1), 'hex')
      if (pruned.length !== 32) throw new SyntaxError('a pruned detail must be a 32-byte hash')
      return { keep, detail: null, detailHash: pruned }
    })
}
