import { hash } from 'node:crypto'
import { canonicalJson } from '../kernel/canonical-json.ts'

/*
 * A checkpoint names the head of every lane of a scope and is chained to the one before:
 *
 *   message   = "alter.audit.checkpoint.v1\n" + RFC 8785 form of the checkpoint
 *   signature = base64url without padding of Ed25519 over the message
 *   prev_checkpoint = hex SHA-256 of the message before, null in the first one
 *
 * The life of a lane as checkpoints tell it:
 *
 *   never listed ──▶ open: in every checkpoint from now on ──▶ closed: in one, and then in none
 */

/** The head of one lane. `seq` 0 and the genesis hash while it has no row; `first_seq` = `seq` + 1 when it has none since it was listed. */
export type CheckpointHead = { chain_id: string; first_seq: number; seq: number; row_hash: string; closed: boolean }

export type Checkpoint = {
  v: 1
  scope_id: string
  heads: CheckpointHead[]
  prev_checkpoint: string | null
  issued_at: string
  key_id: string
}

/** A checkpoint as stored or exported: the exact text that was signed. `number` counts from 1 within the scope. */
export type SignedCheckpoint = {
  number: number
  message: string
  /** Lower-case hex. */
  messageHash: string
  signature: string
  keyId: string
}

const MESSAGE_PREFIX = 'alter.audit.checkpoint.v1\n'

export const checkpointMessage = (checkpoint: Checkpoint): string => MESSAGE_PREFIX + canonicalJson(checkpoint)

/** Lower-case hex SHA-256 of a signed message; what the next checkpoint calls `prev_checkpoint`. */
export const messageHash = (message: string): string => hash('sha256', message, 'hex')

const HASH = /^[0-9a-f]{64}$/

/** Reads a message. Null when it is not exactly what `checkpointMessage` writes for some checkpoint. */
export function parseCheckpointMessage(message: string): Checkpoint | null {
  if (!message.startsWith(MESSAGE_PREFIX)) return null
  const text = message.slice(MESSAGE_PREFIX.length)
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return null
  }
  return isCheckpoint(parsed) && canonicalJson(parsed) === text ? parsed : null
}

function isCheckpoint(value: unknown): value is Checkpoint {
  if (typeof value !== 'object' || value === null) return false
  const { v, scope_id, heads, prev_checkpoint, issued_at, key_id, ...others } = value as Record<string, unknown>
  if (v !== 1 || Object.keys(others).length > 0) return false
  if (typeof scope_id !== 'string' || typeof issued_at !== 'string' || typeof key_id !== 'string') return false
  if (prev_checkpoint !== null && !(typeof prev_checkpoint === 'string' && HASH.test(prev_checkpoint))) return false
  return Array.isArray(heads) && heads.every(isHead) && isSorted(heads)
}

function isHead(value: unknown): value is CheckpointHead {
  if (typeof value !== 'object' || value === null) return false
  const { chain_id, first_seq, seq, row_hash, closed, ...others } = value as Record<string, unknown>
  if (Object.keys(others).length > 0 || typeof chain_id !== 'string' || typeof closed !== 'boolean') return false
  if (typeof row_hash !== 'string' || !HASH.test(row_hash)) return false
  return isCount(first_seq) && first_seq > 0 && isCount(seq) && first_seq <= seq + 1
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

const isSorted = (heads: readonly CheckpointHead[]): boolean =>
  heads.every((head, index) => index === 0 || heads[index - 1]!.chain_id < head.chain_id)
