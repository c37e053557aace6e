import { canonicalJson } from '../kernel/canonical-json.ts'
import { detailHash, keepHash } from './chain.ts'
import { type Checkpoint, checkpointMessage, type SignedCheckpoint } from './checkpoint.ts'
import { keepMembers, type LaneRow } from './lane-row.ts'

/*
 * An export as the offline verifier reads it: two files of lines, each line in RFC 8785 form, so that no byte of it is without
 * meaning.
 *
 *   rows         {"export": {"lanes": [{"chain_id", "from_seq", "previous_hash", "to_seq"}], "scope_id", "v": 1, "whole"}}
 *                {"detail": {…} or null once pruned, "detail_h", "keep": {…}, "row_hash"}      lane after lane, by seq
 *                …
 *   checkpoints  {"checkpoint": {…}, "message_hash", "signature"}                              oldest first
 *                …
 *
 * "whole": the export holds every row of the scope up to its end. Hashes are lower-case hex; "previous_hash" is the hash of the
 * row before `from_seq`, of a whole lane its genesis.
 */

export type ExportedLane = { chain_id: string; from_seq: number; to_seq: number; previous_hash: string }
export type ExportHeader = { v: 1; scope_id: string; whole: boolean; lanes: readonly ExportedLane[] }

/** One row of an export. `rowHash` is what the file says of it, not what follows from it. */
export type ExportedRow = { row: LaneRow; rowHash: string }

export const encodeExportHeader = (header: ExportHeader): string => `${canonicalJson({ export: header })}\n`

/** `keep` and `detail` as stored; `detail` null once pruned. */
export const encodeExportRow = (keep: string, detail: string | null, detailHashHex: string, rowHash: string): string =>
  `{"detail":${detail ?? 'null'},"detail_h":"${detailHashHex}","keep":${keep},"row_hash":"${rowHash}"}\n`

export function encodeExportCheckpoint(checkpoint: Checkpoint, messageHash: string, signature: string): string {
  return `${canonicalJson({ checkpoint, message_hash: messageHash, signature })}\n`
}

const HASH = /^[0-9a-f]{64}$/
const isHash = (value: unknown): value is string => typeof value === 'string' && HASH.test(value)
const isSeq = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0

/** The object of a line. Null when the line is not in RFC 8785 form or has other members. */
function parseLine(line: string, names: readonly string[]): Record<string, unknown> | null {
  let value: unknown
  try {
    value = JSON.parse(line)
    if (canonicalJson(value) !== line) return null
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  const members = value as Record<string, unknown>
  return Object.keys(members).length === names.length && names.every((name) => Object.hasOwn(members, name))
    ? members
    : null
}

/** Null when the line is none. */
export function decodeExportHeader(line: string): ExportHeader | null {
  const header = parseLine(line, ['export'])?.export as Partial<ExportHeader> | null | undefined
  if (header === null || typeof header !== 'object' || Object.keys(header).length !== 4) return null
  const { v, scope_id, whole, lanes } = header
  if (v !== 1 || typeof scope_id !== 'string' || typeof whole !== 'boolean' || !Array.isArray(lanes)) return null
  const isLane = (lane: Partial<ExportedLane> | null): boolean =>
    lane !== null &&
    typeof lane === 'object' &&
    Object.keys(lane).length === 4 &&
    typeof lane.chain_id === 'string' &&
    isSeq(lane.from_seq) &&
    isSeq(lane.to_seq) &&
    isHash(lane.previous_hash)
  return lanes.every(isLane) ? { v, scope_id, whole, lanes: lanes as ExportedLane[] } : null
}

/** Null when the line is no row, or its parts do not fit each other. */
export function decodeExportRow(line: string): ExportedRow | null {
  const members = parseLine(line, ['detail', 'detail_h', 'keep', 'row_hash'])
  if (members === null || !isHash(members.detail_h) || !isHash(members.row_hash)) return null
  const keep = canonicalJson(members.keep)
  const place = keepMembers(keep)
  if (place === null) return null
  const detail = members.detail === null ? null : canonicalJson(members.detail)
  if (detail !== null && detailHash(detail).toString('hex') !== members.detail_h) return null
  return {
    row: {
      ...place,
      keepHash: keepHash(keep),
      detailHash: Buffer.from(members.detail_h, 'hex'),
      isPruned: detail === null,
    },
    rowHash: members.row_hash,
  }
}

/** Null when the line is no checkpoint. Whether it is true is for the verifier. */
export function decodeExportCheckpoint(line: string, number: number): SignedCheckpoint | null {
  const members = parseLine(line, ['checkpoint', 'message_hash', 'signature'])
  if (members === null || !isHash(members.message_hash) || typeof members.signature !== 'string') return null
  const checkpoint = members.checkpoint as Checkpoint | null
  if (typeof checkpoint !== 'object' || checkpoint === null || typeof checkpoint.key_id !== 'string') return null
  return {
    number,
    message: checkpointMessage(checkpoint),
    messageHash: members.message_hash,
    signature: members.signature,
    keyId: checkpoint.key_id,
  }
}
