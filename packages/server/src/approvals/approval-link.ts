import { createHmac, type KeyObject } from 'node:crypto'
import { constantTimeEqual } from '../crypto/constant-time.ts'
import type { Gate } from './approval.ts'

/*
 * token = base64url( HMAC-SHA-256( link key, "alter.approval.link.v1\n" + gate id + "\n" + end of its window in ms + "\n" + hex nonce ) )
 *
 * The nonce is stored with the gate, the token is not: it is made again whenever a link has to be shown again. It sits in the
 * fragment of the address, so that logs, previews and `Referer` never see it (docs/spec/approvals.md#links).
 */

export const LINK_NONCE_BYTES = 16

export type ApprovalLinks = {
  /** `{PUBLIC_URL}/wallet/approvals/<gate id>#t=<token>` */
  urlOf(gate: LinkedGate): string
  /** True only for the token of exactly this gate. Takes the same time for every token of the right length. */
  isGenuine(gate: LinkedGate, token: string): boolean
}

type LinkedGate = Pick<Gate, 'approvalId' | 'expiresAt' | 'linkNonce'>

/** `linkKey`: a key of the installation, wrapped by a root key. `publicUrl`: without a final slash. */
export function createApprovalLinks({ linkKey, publicUrl }: { linkKey: KeyObject; publicUrl: string }): ApprovalLinks {
  function macOf({ approvalId, expiresAt, linkNonce }: LinkedGate): Buffer {
    const message = `alter.approval.link.v1\n${approvalId}\n${expiresAt.getTime()}\n${linkNonce.toString('hex')}`
    return createHmac('sha256', linkKey).update(message).digest()
  }
  return {
    urlOf: (gate) => `${publicUrl}/wallet/approvals/${gate.approvalId}#t=${macOf(gate).toString('base64url')}`,
    isGenuine(gate, token) {
      const given = Buffer.from(token, 'base64url')
      // Decoding forgives padding, foreign characters and unused bits; a token has one spelling.
      return given.toString('base64url') === token && constantTimeEqual(given, macOf(gate))
    },
  }
}
