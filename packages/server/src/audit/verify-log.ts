import { createPublicKey, type KeyObject, verify as verifyBytes } from 'node:crypto'
import type { Scope } from './audit-row.ts'
import { type Checkpoint, messageHash, parseCheckpointMessage, type SignedCheckpoint } from './checkpoint.ts'
import { batchDigest, genesisHead, nextHead, rowDigest, type StoredRow } from './log-hashes.ts'

/*
 * Proves a log against its checkpoints (docs/spec/audit-format.md#what-a-verifier-checks). Batches are read once, in order, one at a
 * time; each checkpoint must name the head that follows from the rows up to its place, and what is left after the last one is the
 * unsigned tail:
 *
 *   batches 1…40 ── checkpoint 1 ── batches 41…90 ── checkpoint 2 ── batches 91…95, unsigned
 */

/**
 * `hash_mismatch` a row or batch is not the one that was written · `gap` rows or batches are missing · `order` they are not in the
 * order of their numbers · `checkpoint_mismatch` a checkpoint fits neither the rows nor the one before · `bad_signature` ·
 * `unknown_key`.
 */
export type IntegrityErrorKind =
  | 'hash_mismatch'
  | 'gap'
  | 'order'
  | 'checkpoint_mismatch'
  | 'bad_signature'
  | 'unknown_key'

/** Where a log is broken: at a checkpoint, or at a batch and the first of its rows that does not fit. */
export type IntegrityError = {
  checkpoint_no: number | null
  sequence: number | null
  row_no: number | null
  kind: IntegrityErrorKind
}

export type Verification = {
  /** `incomplete`: what is there is unbroken, but it is an excerpt and proves nothing about the rest. */
  status: 'ok' | 'broken' | 'incomplete'
  scope_id: string
  batches: { from: number; to: number } | null
  rows_checked: number
  details_pruned: number
  checkpoints_checked: number
  /** Rows that no checkpoint covers yet. */
  unsigned_tail_rows: number
  /** The first break that was found; checking stops there. */
  first_error: IntegrityError | null
}

/** A batch to prove. A row is null when it is not of the stored form. */
export type LogBatch = {
  sequence: number
  firstRow: number
  count: number
  head: Buffer
  rows: readonly (StoredRow | null)[]
}

/** Where a log or an excerpt begins: its first batch and row, and the head before them. */
export type LogStart = { sequence: number; firstRow: number; previousHead: Buffer }
export const startOf = (scope: Scope): LogStart => ({ sequence: 1, firstRow: 1, previousHead: genesisHead(scope) })

/** A log to prove. Nothing in it is trusted. */
export type LogSource = {
  scope: Scope
  batches: AsyncIterable<LogBatch> | Iterable<LogBatch>
  /** The last sequence that must be there. */
  lastSequence: number
  checkpoints: AsyncIterable<SignedCheckpoint> | Iterable<SignedCheckpoint>
  /** Set for an excerpt, which is never `ok`. */
  excerpt?: LogStart | undefined
}

export type PublicJwk = { kty?: unknown; crv?: unknown; x?: unknown; kid?: unknown }

/** What a check found out when it has looked at nothing yet. */
export const nothingChecked = (scopeId: string): Verification => ({
  status: 'ok',
  scope_id: scopeId,
  batches: null,
  rows_checked: 0,
  details_pruned: 0,
  checkpoints_checked: 0,
  unsigned_tail_rows: 0,
  first_error: null,
})

/** A break found while checking. It ends the check and becomes `first_error`. */
export class LogBroken extends Error {
  readonly place: IntegrityError
  constructor(kind: IntegrityErrorKind, place: Partial<Omit<IntegrityError, 'kind'>>) {
    super(`${kind} at ${JSON.stringify(place)}`)
    this.name = 'LogBroken'
    this.place = { checkpoint_no: null, sequence: null, row_no: null, ...place, kind }
  }
}

/** Checks everything, up to the first break. Throws only what the source throws. */
export async function verifyLog(source: LogSource, keys: readonly PublicJwk[]): Promise<Verification> {
  const { scope, excerpt, lastSequence } = source
  const publicKeys = readPublicKeys(keys)
  const start = excerpt ?? startOf(scope)
  const batches =
    Symbol.asyncIterator in source.batches ? source.batches[Symbol.asyncIterator]() : source.batches[Symbol.iterator]()
  const at = { sequence: start.sequence - 1, row: start.firstRow - 1, head: start.previousHead }
  let signedRow = at.row
  let before: { hash: string; checkpoint: Checkpoint } | null = null
  const result = nothingChecked(scope.scopeId)
  if (excerpt !== undefined) result.status = 'incomplete'

  /** Reads and checks one batch. False at the end. */
  async function readBatch(): Promise<boolean> {
    const next = await batches.next()
    if (next.done === true) return false
    const batch = next.value
    const place = { sequence: at.sequence + 1, row_no: at.row + 1 }
    if (batch.sequence !== place.sequence) throw new LogBroken(batch.sequence > place.sequence ? 'gap' : 'order', place)
    if (batch.firstRow !== place.row_no) throw new LogBroken('order', place)
    const digests: string[] = []
    for (const [index, row] of batch.rows.entries()) {
      if (row === null) throw new LogBroken('hash_mismatch', { ...place, row_no: place.row_no + index })
      if (row.detail === null) result.details_pruned += 1
      digests.push(rowDigest(row.keep, row.detailHash))
    }
    if (digests.length < batch.count) throw new LogBroken('gap', { ...place, row_no: place.row_no + digests.length })
    if (digests.length > batch.count) throw new LogBroken('order', { ...place, row_no: place.row_no + batch.count })
    const head = nextHead(at.head, { ...batch, count: digests.length }, batchDigest(digests))
    if (!head.equals(batch.head)) throw new LogBroken('hash_mismatch', place)
    at.sequence = batch.sequence
    at.row += digests.length
    at.head = head
    result.rows_checked += digests.length
    result.batches = { from: start.sequence, to: at.sequence }
    return true
  }

  async function checkCheckpoint(signed: SignedCheckpoint): Promise<void> {
    const { number } = signed
    const checkpoint = openCheckpoint(signed, scope.scopeId, publicKeys)
    const mismatch = new LogBroken('checkpoint_mismatch', { checkpoint_no: number })
    if (before === null) {
      if (checkpoint.prev_checkpoint !== null && excerpt === undefined) throw mismatch
    } else {
      if (checkpoint.prev_checkpoint !== before.hash || checkpoint.sequence <= before.checkpoint.sequence)
        throw mismatch
      if (checkpoint.issued_at < before.checkpoint.issued_at) throw new LogBroken('order', { checkpoint_no: number })
    }
    while (at.sequence < checkpoint.sequence && (await readBatch()));
    if (at.sequence < checkpoint.sequence) {
      if (excerpt === undefined) throw new LogBroken('gap', { sequence: at.sequence + 1, row_no: at.row + 1 })
      // It covers what comes after the excerpt as well: of this part it says nothing that can be checked.
    } else if (at.sequence === checkpoint.sequence) {
      if (checkpoint.head !== at.head.toString('hex') || checkpoint.row_no !== at.row) throw mismatch
      signedRow = at.row
    }
    before = { hash: messageHash(signed.message), checkpoint }
    result.checkpoints_checked += 1
  }

  try {
    for await (const signed of source.checkpoints) await checkCheckpoint(signed)
    while (await readBatch());
    if (at.sequence < lastSequence) throw new LogBroken('gap', { sequence: at.sequence + 1, row_no: at.row + 1 })
    if (at.sequence > lastSequence) throw new LogBroken('order', { sequence: lastSequence + 1 })
    result.unsigned_tail_rows = at.row - signedRow
  } catch (error) {
    if (!(error instanceof LogBroken)) throw error
    result.status = 'broken'
    result.first_error = error.place
  }
  return result
}

/** Checks what a checkpoint says of itself. */
function openCheckpoint(
  signed: SignedCheckpoint,
  scopeId: string,
  publicKeys: ReadonlyMap<string, KeyObject>,
): Checkpoint {
  const { number, message, signature } = signed
  const key = publicKeys.get(signed.keyId)
  if (key === undefined) throw new LogBroken('unknown_key', { checkpoint_no: number })
  const bytes = Buffer.from(signature, 'base64url')
  // Base64url of 64 bytes has spare bits: only one spelling is taken.
  const isSigned = bytes.toString('base64url') === signature && verifyBytes(null, Buffer.from(message), key, bytes)
  if (!isSigned) throw new LogBroken('bad_signature', { checkpoint_no: number })
  const checkpoint = parseCheckpointMessage(message)
  const fits =
    checkpoint !== null &&
    checkpoint.scope_id === scopeId &&
    checkpoint.key_id === signed.keyId &&
    messageHash(message) === signed.messageHash
  if (!fits) throw new LogBroken('checkpoint_mismatch', { checkpoint_no: number })
  return checkpoint
}

/** The Ed25519 keys of a JWK set by key id (RFC 8037); others are left out. */
function readPublicKeys(keys: readonly PublicJwk[]): ReadonlyMap<string, KeyObject> {
  const read = new Map<string, KeyObject>()
  for (const { kty, crv, x, kid } of keys) {
    if (kty !== 'OKP' || crv !== 'Ed25519' || typeof x !== 'string' || typeof kid !== 'string') continue
    const isExact = Buffer.from(x, 'base64url').length === 32
    if (isExact) read.set(kid, createPublicKey({ key: { kty, crv, x }, format: 'jwk' }))
  }
  return read
}
