import { createPublicKey, type KeyObject, verify as verifyBytes } from 'node:crypto'
import { genesisHash, rowHash } from './chain.ts'
import {
  type Checkpoint,
  type CheckpointHead,
  messageHash,
  parseCheckpointMessage,
  type SignedCheckpoint,
} from './checkpoint.ts'
import type { LaneBlock, LaneRow } from './lane-row.ts'

/*
 * Proves a log against its checkpoints. The checkpoints are read in their order; each moves the lanes it
 * lists forward to the heads it names, and what is left after the last one is the unsigned tail:
 *
 *   checkpoint 1 ── lane A: rows 1…40, lane B: rows 1…7      every row is read once; of each lane
 *   checkpoint 2 ── lane A: rows 41…90                       one block is in memory at a time
 *   (tail)       ── lane A: rows 91…95, unsigned
 */

/**
 * `hash_mismatch` a row is not the one that was written · `gap` rows are missing · `order` rows are not in the order of their
 * numbers or times · `lane_missing` a lane that a checkpoint lists is gone, or a checkpoint leaves out a lane that is still open ·
 * `lane_reopened` a lane has rows after its end · `checkpoint_mismatch` a checkpoint fits neither the rows nor the one before ·
 * `bad_signature` · `unknown_key`.
 */
export type IntegrityErrorKind =
  | 'hash_mismatch'
  | 'gap'
  | 'order'
  | 'lane_missing'
  | 'lane_reopened'
  | 'checkpoint_mismatch'
  | 'bad_signature'
  | 'unknown_key'

/** `chain_id` null: a checkpoint itself, and `seq` is its number. Of a block whose head does not fit, `seq` is the first row. */
export type IntegrityError = { chain_id: string | null; seq: number; kind: IntegrityErrorKind }

export type Verification = {
  /** `incomplete`: what is there is unbroken, but it is an excerpt and proves nothing about the rest. */
  status: 'ok' | 'broken' | 'incomplete'
  scope_id: string
  lanes: { chain_id: string; from_seq: number; to_seq: number }[]
  rows_checked: number
  details_pruned: number
  checkpoints_checked: number
  /** Rows that no checkpoint covers yet. */
  unsigned_tail_rows: number
  /** The first break that was found; checking stops there. */
  first_error: IntegrityError | null
}

/** Where an excerpt begins in a lane: the first row it holds, and the hash of the row before that. */
export type LaneStart = { fromSeq: number; previousHash: Buffer }

/** A log to prove. Nothing in it is trusted. */
export type LogSource = {
  scopeId: string
  /** Every lane of which there is a block. */
  chainIds: Iterable<string>
  /** The blocks of a lane in the order of their first row. */
  blocks(chainId: string): AsyncIterable<LaneBlock> | Iterable<LaneBlock>
  checkpoints: AsyncIterable<SignedCheckpoint> | Iterable<SignedCheckpoint>
  /** Set for an excerpt: lanes may begin and end anywhere, others may be missing. It is never `ok`. */
  excerpt?: ReadonlyMap<string, LaneStart>
}

export type PublicJwk = { kty?: unknown; crv?: unknown; x?: unknown; kid?: unknown }

/** A break found while checking. It ends the check and becomes `first_error`. */
export class LogBroken extends Error {
  readonly place: IntegrityError
  constructor(chainId: string | null, seq: number, kind: IntegrityErrorKind) {
    super(`${kind} at ${chainId ?? 'checkpoint'} ${seq}`)
    this.name = 'LogBroken'
    this.place = { chain_id: chainId, seq, kind }
  }
}

type Lane = {
  chainId: string
  fromSeq: number
  /** The row after the last one read, and the hash of the last one read. */
  nextSeq: number
  hash: Buffer
  occurredAt: string
  blocks: AsyncIterator<LaneBlock> | Iterator<LaneBlock>
  /** Hashes of the rows of the last block read. */
  block: { firstSeq: number; hashes: Buffer[] }
  /** An empty block was read. */
  hasEnded: boolean
  /** The head that the latest checkpoint named. */
  listed: { seq: number; hash: string } | null
}

/** Checks everything, up to the first break. Throws only what the source throws. */
export async function verifyLanes(source: LogSource, keys: readonly PublicJwk[]): Promise<Verification> {
  const { scopeId, excerpt } = source
  const publicKeys = readPublicKeys(keys)
  const unread = new Set(source.chainIds)
  const reading = new Map<string, Lane>()
  /** Lanes that the checkpoint before listed as open. */
  let listedOpen = new Map<string, number>()
  const closed = new Set<string>()
  let lastMessage: { hash: string; issuedAt: string } | null = null
  let isPartial = excerpt !== undefined
  const result: Verification = {
    status: 'ok',
    scope_id: scopeId,
    lanes: [],
    rows_checked: 0,
    details_pruned: 0,
    checkpoints_checked: 0,
    unsigned_tail_rows: 0,
    first_error: null,
  }

  function openLane(chainId: string): Lane {
    const start = excerpt?.get(chainId) ?? { fromSeq: 1, previousHash: genesisHash(chainId) }
    if (start.fromSeq === 1 && !start.previousHash.equals(genesisHash(chainId))) {
      throw new LogBroken(chainId, 1, 'hash_mismatch')
    }
    const blocks = source.blocks(chainId)
    const lane: Lane = {
      chainId,
      fromSeq: start.fromSeq,
      nextSeq: start.fromSeq,
      hash: start.previousHash,
      occurredAt: '',
      blocks: Symbol.asyncIterator in blocks ? blocks[Symbol.asyncIterator]() : blocks[Symbol.iterator](),
      block: { firstSeq: start.fromSeq, hashes: [] },
      hasEnded: false,
      listed: null,
    }
    reading.set(chainId, lane)
    unread.delete(chainId)
    return lane
  }

  /** Reads and checks one block. False at the end of the lane. */
  async function readBlock(lane: Lane): Promise<boolean> {
    const next = await lane.blocks.next()
    if (next.done === true) return false
    const block = next.value
    if (lane.hasEnded && (block.count > 0 || block.rows.length > 0)) {
      throw new LogBroken(lane.chainId, block.firstSeq, 'lane_reopened')
    }
    if (block.firstSeq !== lane.nextSeq) {
      const isAhead = block.firstSeq > lane.nextSeq
      throw new LogBroken(lane.chainId, isAhead ? lane.nextSeq : block.firstSeq, isAhead ? 'gap' : 'order')
    }
    const rows = placedRows(lane.chainId, block)
    const hashes: Buffer[] = []
    let hash = lane.hash
    for (const row of rows) {
      hash = rowHash(hash, row.keepHash, row.detailHash)
      hashes.push(hash)
    }
    if (!hash.equals(block.headHash)) throw new LogBroken(lane.chainId, block.firstSeq, 'hash_mismatch')
    for (const row of rows) {
      if (row.chainId !== lane.chainId || row.scopeId !== scopeId) throw new LogBroken(lane.chainId, row.seq, 'order')
      if (row.occurredAt < lane.occurredAt) throw new LogBroken(lane.chainId, row.seq, 'order')
      lane.occurredAt = row.occurredAt
      if (row.isPruned) result.details_pruned += 1
    }
    result.rows_checked += rows.length
    lane.hash = hash
    lane.nextSeq += rows.length
    lane.hasEnded ||= rows.length === 0
    lane.block = { firstSeq: block.firstSeq, hashes }
    return true
  }

  async function checkHead(head: CheckpointHead, number: number): Promise<void> {
    const { chain_id: chainId, seq } = head
    if (closed.has(chainId)) throw new LogBroken(chainId, seq, 'lane_reopened')
    const lane = reading.get(chainId) ?? (unread.has(chainId) ? openLane(chainId) : undefined)
    const before = lane?.listed ?? null
    const listedSeq = before?.seq ?? listedOpen.get(chainId)
    const isFirstInExcerpt = isPartial && listedSeq === undefined
    if (!isFirstInExcerpt && head.first_seq !== (listedSeq ?? 0) + 1) {
      throw new LogBroken(null, number, 'checkpoint_mismatch')
    }
    if (head.seq < head.first_seq - 1) throw new LogBroken(null, number, 'checkpoint_mismatch')
    if (lane === undefined) {
      if (excerpt === undefined && seq > 0) throw new LogBroken(chainId, seq, 'lane_missing')
      if (seq === 0 && head.row_hash !== genesisHash(chainId).toString('hex')) {
        throw new LogBroken(chainId, 0, 'checkpoint_mismatch')
      }
    } else {
      const found = await hashAt(lane, seq)
      if (found === 'behind') {
        if (excerpt === undefined)
          throw new LogBroken(chainId, lane.nextSeq, lane.nextSeq === 1 ? 'lane_missing' : 'gap')
      } else if (found !== 'before') {
        if (found !== head.row_hash) throw new LogBroken(chainId, seq, 'checkpoint_mismatch')
        lane.listed = { seq, hash: found }
      }
    }
    if (!head.closed) return
    closed.add(chainId)
    if (lane !== undefined) {
      await readToEnd(lane)
      if (lane.nextSeq > seq + 1) throw new LogBroken(chainId, seq + 1, 'lane_reopened')
      finish(lane)
    }
  }

  /** The hash of a row, read up to there. `behind`: the lane ends before. `before`: the row lies before an excerpt. */
  async function hashAt(lane: Lane, seq: number): Promise<string | 'behind' | 'before'> {
    while (lane.nextSeq <= seq) if (!(await readBlock(lane))) return 'behind'
    if (lane.listed?.seq === seq) return lane.listed.hash
    const { firstSeq, hashes } = lane.block
    if (seq === lane.nextSeq - 1) return lane.hash.toString('hex')
    return hashes[seq - firstSeq]?.toString('hex') ?? 'before'
  }

  async function readToEnd(lane: Lane): Promise<void> {
    while (await readBlock(lane));
  }

  function finish(lane: Lane): void {
    result.lanes.push({ chain_id: lane.chainId, from_seq: lane.fromSeq, to_seq: lane.nextSeq - 1 })
    result.unsigned_tail_rows += lane.nextSeq - 1 - (lane.listed?.seq ?? lane.fromSeq - 1)
    reading.delete(lane.chainId)
  }

  async function checkCheckpoint(signed: SignedCheckpoint): Promise<void> {
    const checkpoint = openCheckpoint(signed, scopeId, publicKeys)
    const { prev_checkpoint: previous, issued_at: issuedAt, heads } = checkpoint
    if (lastMessage === null) {
      if (previous !== null && excerpt === undefined) throw new LogBroken(null, signed.number, 'checkpoint_mismatch')
      isPartial ||= previous !== null
    } else if (previous !== lastMessage.hash) throw new LogBroken(null, signed.number, 'checkpoint_mismatch')
    else if (issuedAt < lastMessage.issuedAt) throw new LogBroken(null, signed.number, 'order')
    const listed = new Set(heads.map((head) => head.chain_id))
    for (const [chainId, seq] of listedOpen) {
      if (!listed.has(chainId)) throw new LogBroken(chainId, seq, 'lane_missing')
    }
    for (const head of heads) await checkHead(head, signed.number)
    listedOpen = new Map(heads.filter((head) => !head.closed).map((head) => [head.chain_id, head.seq]))
    lastMessage = { hash: messageHash(signed.message), issuedAt }
    result.checkpoints_checked += 1
  }

  try {
    for await (const signed of source.checkpoints) await checkCheckpoint(signed)
    for (const lane of [...reading.values()]) {
      await readToEnd(lane)
      finish(lane)
    }
    for (const chainId of [...unread]) {
      const lane = openLane(chainId)
      await readToEnd(lane)
      finish(lane)
    }
    if (isPartial) result.status = 'incomplete'
  } catch (error) {
    if (!(error instanceof LogBroken)) throw error
    result.status = 'broken'
    result.first_error = error.place
  }
  result.lanes.sort((a, b) => (a.chain_id < b.chain_id ? -1 : 1))
  return result
}

/** The rows of a block, each at the place its number says, or the break. */
function placedRows(chainId: string, block: LaneBlock): readonly LaneRow[] {
  const { firstSeq, count } = block
  const rows: LaneRow[] = []
  for (const [index, row] of block.rows.entries()) {
    if (row === null) throw new LogBroken(chainId, firstSeq + index, 'hash_mismatch')
    rows.push(row)
  }
  const misplaced = rows.findIndex((row, index) => row.seq !== firstSeq + index)
  if (misplaced >= 0) {
    const seqs = rows.map((row) => row.seq)
    const isAscending = seqs.every((seq, index) => index === 0 || seqs[index - 1]! < seq)
    const isPermuted = [...seqs].sort((a, b) => a - b).every((seq, index) => seq === firstSeq + index)
    throw new LogBroken(
      chainId,
      firstSeq + misplaced,
      isPermuted ? 'order' : isAscending && seqs[misplaced]! > firstSeq + misplaced ? 'gap' : 'hash_mismatch',
    )
  }
  if (rows.length < count) throw new LogBroken(chainId, firstSeq + rows.length, 'gap')
  if (rows.length > count) throw new LogBroken(chainId, firstSeq + count, 'order')
  return rows
}

/** Checks what a checkpoint says of itself. */
function openCheckpoint(
  signed: SignedCheckpoint,
  scopeId: string,
  publicKeys: ReadonlyMap<string, KeyObject>,
): Checkpoint {
  const { number, message, signature } = signed
  const key = publicKeys.get(signed.keyId)
  if (key === undefined) throw new LogBroken(null, number, 'unknown_key')
  const bytes = Buffer.from(signature, 'base64url')
  // Base64url of 64 bytes has spare bits: only one spelling is taken.
  const isSigned = bytes.toString('base64url') === signature && verifyBytes(null, Buffer.from(message), key, bytes)
  if (!isSigned) throw new LogBroken(null, number, 'bad_signature')
  const checkpoint = parseCheckpointMessage(message)
  const fits =
    checkpoint !== null &&
    checkpoint.scope_id === scopeId &&
    checkpoint.key_id === signed.keyId &&
    messageHash(message) === signed.messageHash
  if (!fits) throw new LogBroken(null, number, 'checkpoint_mismatch')
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
