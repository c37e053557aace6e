import type { AuditSigningKeys } from '../crypto/audit-signing-key.ts'
import type { Database, Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import {
  type Checkpoint,
  type CheckpointHead,
  checkpointMessage,
  messageHash,
  parseCheckpointMessage,
  type SignedCheckpoint,
} from './checkpoint.ts'
import {
  findLastCheckpoint,
  insertCheckpoint,
  type LaneState,
  listPublicKeys,
  noteListed,
  readCheckpointAges,
  readLaneStates,
  tryCheckpointLock,
} from './checkpoint-store.ts'
import { readLaneTails } from './projection-store.ts'
import { formatMicros } from './row-batch.ts'

/** A scope with this many rows since its checkpoint gets the next one at once, any other one with something new after 60 s. */
const DUE_AFTER_ROWS = 1_000
const DUE_AFTER_SECONDS = 60

type Deps = {
  db: Pick<Database, 'forApp' | 'unscoped'>
  signingKeys: Pick<AuditSigningKeys, 'keyId' | 'sign' | 'publicJwks'>
  clock: Pick<Clock, 'now'>
  log: Log
}

export type IssueCheckpoints = ReturnType<typeof createIssueCheckpoints>

/** Signs the heads of lanes. Of several processes the one that holds the scope's lock issues. */
export function createIssueCheckpoints({ db, signingKeys, clock, log }: Deps) {
  let listedKeyId: string | undefined

  /** Before a signature exists, everybody can learn the key that it will be checked with. */
  async function listKeys(): Promise<void> {
    const keyId = signingKeys.keyId()
    if (listedKeyId === keyId) return
    await db.unscoped((tx) => listPublicKeys(tx, signingKeys.publicJwks().keys))
    listedKeyId = keyId
  }

  /** Issues the next checkpoint of a scope if a lane has moved. Undefined: nothing is new, or another process is at it. */
  async function issueCheckpoint(scopeId: string): Promise<SignedCheckpoint | undefined> {
    await listKeys()
    return db.forApp(scopeId, async (tx) => {
      if (!(await tryCheckpointLock(tx, scopeId))) return undefined
      const last = await findLastCheckpoint(tx, scopeId)
      const before = last === undefined ? null : readOwn(last)
      const lanes = await readLaneStates(tx, scopeId)
      const { heads, unlistedClosed } = nextHeads(before, lanes)
      if (!hasNews(before, heads)) {
        if (unlistedClosed.length > 0) await noteListed(tx, scopeId, [], unlistedClosed)
        return undefined
      }
      return store(tx, scopeId, last, before, heads, unlistedClosed)
    })
  }

  async function store(
    tx: Tx,
    scopeId: string,
    last: SignedCheckpoint | undefined,
    before: Checkpoint | null,
    heads: CheckpointHead[],
    unlistedClosed: readonly string[],
  ): Promise<SignedCheckpoint> {
    const now = formatMicros(clock.now() * 1_000)
    // Clocks of two processes differ: the series still never goes back in time.
    const issuedAt = before !== null && before.issued_at > now ? before.issued_at : now
    const keyId = signingKeys.keyId()
    const message = checkpointMessage({
      v: 1,
      scope_id: scopeId,
      heads,
      prev_checkpoint: last?.messageHash ?? null,
      issued_at: issuedAt,
      key_id: keyId,
    })
    const signed: SignedCheckpoint = {
      number: (last?.number ?? 0) + 1,
      message,
      messageHash: messageHash(message),
      signature: signingKeys.sign(Buffer.from(message)).toString('base64url'),
      keyId,
    }
    await insertCheckpoint(tx, scopeId, signed, issuedAt, heads, unlistedClosed)
    return signed
  }

  /** Issues what is due, over all scopes; with `all` whatever has something new. Returns how many were issued. */
  async function issueDueCheckpoints({ all = false }: { all?: boolean } = {}): Promise<number> {
    const due = await db.unscoped(async (tx) => {
      const tails = await readLaneTails(tx, null)
      const newRows = new Map<string, number>()
      for (const lane of tails) {
        if (lane.checkpointedToEnd) continue
        const rows = Math.max(0, lane.lastSeq - lane.checkpointedSeq)
        if (rows > 0 || lane.isClosed) newRows.set(lane.scopeId, (newRows.get(lane.scopeId) ?? 0) + rows)
      }
      const ages = await readCheckpointAges(tx, [...newRows.keys()])
      return [...newRows].flatMap(([scopeId, rows]) => {
        const isOld = (ages.get(scopeId) ?? Number.POSITIVE_INFINITY) >= DUE_AFTER_SECONDS
        return all || rows >= DUE_AFTER_ROWS || isOld ? [scopeId] : []
      })
    })
    let issued = 0
    for (const scopeId of due) {
      try {
        if ((await issueCheckpoint(scopeId)) !== undefined) issued += 1
      } catch (error) {
        log.error({ err: error, scope_id: scopeId }, 'a checkpoint could not be issued')
      }
    }
    return issued
  }

  return { issueCheckpoint, issueDueCheckpoints, listKeys }
}

/** The checkpoint before, as it was signed. A series whose end cannot be read is not continued: that would hide the break. */
function readOwn(signed: SignedCheckpoint): Checkpoint {
  const checkpoint = parseCheckpointMessage(signed.message)
  if (checkpoint === null) throw new Error(`checkpoint ${signed.number} cannot be read`)
  return checkpoint
}

/**
 * What the next checkpoint lists: every lane that is open or has moved, and once each lane that has closed. A lane that closed
 * without a row and was never listed is left out for good.
 */
export function nextHeads(
  before: Checkpoint | null,
  lanes: readonly LaneState[],
): { heads: CheckpointHead[]; unlistedClosed: string[] } {
  const listed = new Map((before?.heads ?? []).filter((head) => !head.closed).map((head) => [head.chain_id, head.seq]))
  const closedBefore = new Set((before?.heads ?? []).filter((head) => head.closed).map((head) => head.chain_id))
  const heads: CheckpointHead[] = []
  const unlistedClosed: string[] = []
  for (const { chainId, seq, rowHash, isClosed } of lanes) {
    const listedSeq = listed.get(chainId)
    const isNew = listedSeq === undefined
    if (closedBefore.has(chainId) || (isNew && isClosed && seq === 0)) unlistedClosed.push(chainId)
    else heads.push({ chain_id: chainId, first_seq: (listedSeq ?? 0) + 1, seq, row_hash: rowHash, closed: isClosed })
  }
  return { heads: heads.sort((a, b) => (a.chain_id < b.chain_id ? -1 : 1)), unlistedClosed }
}

/** A row or the end of a lane since the checkpoint before. Lanes that opened and wrote nothing are no news. */
function hasNews(before: Checkpoint | null, heads: readonly CheckpointHead[]): boolean {
  const listed = new Map((before?.heads ?? []).map((head) => [head.chain_id, head]))
  return heads.some((head) => head.closed || head.seq > (listed.get(head.chain_id)?.seq ?? 0))
}
