import { hash } from 'node:crypto'
import { canonicalJson } from '../kernel/canonical-json.ts'

/*
 * A checkpoint names the head of a scope's log and is chained to the one before (docs/spec/audit-format.md#checkpoints):
 *
 *   message   = "alter.audit.checkpoint.v1\n" + RFC 8785 form of the checkpoint
 *   signature = base64url without padding of Ed25519 over the message
 *   prev_checkpoint = hex SHA-256 of the message before, null in the first one
 */

/** `sequence` and `row_no` are those of the last batch that it covers and of its last row; `head` is the head there. */
export type Checkpoint = {
  v: 1
  scope_id: string
  sequence: number
  row_no: number
  head: string
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
  const { v, scope_id, sequence, row_no, head, prev_checkpoint, issued_at, key_id, ...others } = value as Record<
    string,
    unknown
  >
  if (v !== 1 || Object.keys(others).length > 0) return false
  if (typeof scope_id !== 'string' || typeof issued_at !== 'string' || typeof key_id !== 'string') return false
  if (prev_checkpoint !== null && !isHash(prev_checkpoint)) return false
  return isPlace(sequence) && isPlace(row_no) && isHash(head)
}

const isHash = (value: unknown): boolean => typeof value === 'string' && HASH.test(value)
const isPlace = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0
