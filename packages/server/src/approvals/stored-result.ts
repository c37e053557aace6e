import type { ApprovalResult } from '@alter-vault/contracts'

/** An answer as it is sealed in `approval_groups.sealed_result`: JSON of the result object without its id. */
export type StoredResult = Omit<ApprovalResult, 'approval_id'>

const VERSION = 1

export function encodeStoredResult(result: StoredResult): Buffer {
  return Buffer.from(JSON.stringify({ v: VERSION, ...result }))
}

export function decodeStoredResult(plaintext: Buffer): StoredResult {
  const { v, ...result } = JSON.parse(plaintext.toString('utf8')) as StoredResult & { v: number }
  if (v !== VERSION) throw new Error(`Stored result of version ${v} is not known to this version of the server.`)
  return result
}
