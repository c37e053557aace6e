import { canonicalJson } from '../kernel/canonical-json.ts'
import type { Scope } from './audit-row.ts'
import { type Checkpoint, checkpointMessage, type SignedCheckpoint } from './checkpoint.ts'
import { type BatchPlace, detailHash, type StoredRow } from './log-hashes.ts'

/*
 * An export as the offline verifier reads it (docs/spec/audit-format.md#export-files): two files of lines, each line in RFC 8785
 * form, so that no byte of it is without meaning.
 *
 *   rows         {"export": {"first_row", "from_sequence", "previous_head", "scope", "to_sequence", "v": 1, "whole"}}
 *                {"batch": {"count", "first_row", "head", "sequence"}}                          in order, each followed by its rows
 *                {"detail": {…} or null once pruned, "detail_h", "keep": {…}, "row_no"}
 *                …
 *   checkpoints  {"checkpoint": {…}, "message_hash", "signature"}                              oldest first
 *                …
 *
 * "scope" is {"app_id", "organization_id", "scope_id"}, of which the genesis is made. "whole": the export holds every batch of the
 * scope up to its end. Hashes are lower-case hex; "previous_head" is the head before `from_sequence`, of a whole log its genesis.
 */

export type ExportHeader = {
  v: 1
  scope: Scope
  whole: boolean
  from_sequence: number
  to_sequence: number
  first_row: number
  previous_head: string
}

export const encodeExportHeader = ({ scope, ...header }: ExportHeader): string =>
  `${canonicalJson({
    export: {
      ...header,
      scope: { app_id: scope.appId, organization_id: scope.organizationId, scope_id: scope.scopeId },
    },
  })}\n`

export const encodeExportBatch = ({ sequence, firstRow, count, head }: BatchPlace & { head: Buffer }): string =>
  `${canonicalJson({ batch: { count, first_row: firstRow, head: head.toString('hex'), sequence } })}\n`

/** The parts are as stored. */
export const encodeExportRow = ({ keep, detail, detailHash }: StoredRow, rowNo: number): string =>
  `{"detail":${detail ?? 'null'},"detail_h":"${detailHash}","keep":${keep},"row_no":${rowNo}}\n`

export function encodeExportCheckpoint(checkpoint: Checkpoint, messageHash: string, signature: string): string {
  return `${canonicalJson({ checkpoint, message_hash: messageHash, signature })}\n`
}

const HASH = /^[0-9a-f]{64}$/
const isHash = (value: unknown): value is string => typeof value === 'string' && HASH.test(value)
const isPlace = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0
const isId = (value: unknown): value is string | null => value === null || typeof value === 'string'

/** The object of a line. Null when the line is not in RFC 8785 form or has other members. */
function parseLine(line: string, names: readonly string[]): Record<string, unknown> | null {
  let value: unknown
  try {
    value = JSON.parse(line)
    if (canonicalJson(value) !== line) return null
  } catch {
    return null
  }
  return membersOf(value, names)
}

/** An object with exactly these members, else null. */
function membersOf(value: unknown, names: readonly string[]): Record<string, unknown> | null {
  if (typeof value !== 'object' || value === null) return null
  const members = value as Record<string, unknown>
  return Object.keys(members).length === names.length && names.every((name) => Object.hasOwn(members, name))
    ? members
    : null
}

const HEADER = ['first_row', 'from_sequence', 'previous_head', 'scope', 'to_sequence', 'v', 'whole']

/** Null when the line is none. */
export function decodeExportHeader(line: string): ExportHeader | null {
  const header = membersOf(parseLine(line, ['export'])?.export, HEADER)
  const scope = membersOf(header?.scope, ['app_id', 'organization_id', 'scope_id'])
  if (header === null || scope === null) return null
  const { first_row, from_sequence, previous_head, to_sequence, v, whole } = header
  const { app_id: appId, organization_id: organizationId, scope_id: scopeId } = scope
  const isPlaced = isPlace(first_row) && isPlace(from_sequence) && Number.isSafeInteger(to_sequence)
  if (v !== 1 || typeof whole !== 'boolean' || !isPlaced || !isHash(previous_head)) return null
  if (typeof scopeId !== 'string' || !isId(appId) || !isId(organizationId)) return null
  const to = to_sequence as number
  return {
    v,
    scope: { scopeId, appId, organizationId },
    whole,
    from_sequence,
    to_sequence: to,
    first_row,
    previous_head,
  }
}

/** Null when the line begins no batch. */
export function decodeExportBatch(line: string): (BatchPlace & { head: Buffer }) | null {
  const batch = membersOf(parseLine(line, ['batch'])?.batch, ['count', 'first_row', 'head', 'sequence'])
  if (batch === null) return null
  const { count, first_row: firstRow, head, sequence } = batch
  if (!isPlace(count) || !isPlace(firstRow) || !isPlace(sequence) || !isHash(head)) return null
  return { sequence, firstRow, count, head: Buffer.from(head, 'hex') }
}

/** Null when the line is no row, or its parts do not fit each other. */
export function decodeExportRow(line: string): (StoredRow & { rowNo: number }) | null {
  const members = parseLine(line, ['detail', 'detail_h', 'keep', 'row_no'])
  if (members === null || !isHash(members.detail_h) || !isPlace(members.row_no)) return null
  const keep = canonicalJson(members.keep)
  const detail = members.detail === null ? null : canonicalJson(members.detail)
  if (detail !== null && detailHash(detail) !== members.detail_h) return null
  return { keep, detail, detailHash: members.detail_h, rowNo: members.row_no }
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
