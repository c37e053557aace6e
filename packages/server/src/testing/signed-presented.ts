import { hash, randomBytes } from 'node:crypto'
import { deriveSigningKey, signText } from '../crypto/signing-key.ts'
import type { Presented } from '../http/authenticators.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'

/** One SDK request with JSON as a client signs it, at the clock's time, as it reaches a handler. `caller` names who calls through the key. */
export function signedPresented(call: {
  apiKey: string
  path: string
  body: unknown
  clock: Clock
  caller?: string
  clientIp?: string
}): Presented {
  const rawBody = Buffer.from(JSON.stringify(call.body))
  const timestamp = String(Math.floor(call.clock.now() / 1000))
  const nonce = randomBytes(16).toString('hex')
  const digest = hash('sha256', rawBody)
  const lines = ['POST', call.path, timestamp, nonce, digest, '']
  if (call.caller !== undefined) lines.push(`caller:${call.caller}`)
  const signature = signText(deriveSigningKey(call.apiKey), lines.join('\n'))
  return {
    method: 'POST',
    target: call.path,
    headers: {
      'x-api-key': call.apiKey,
      'x-alter-timestamp': timestamp,
      'x-alter-nonce': nonce,
      'x-alter-content-sha256': digest,
      'x-alter-signature': signature,
      ...(call.caller === undefined ? {} : { 'x-alter-signature-v2': signature, 'x-alter-caller': call.caller }),
    },
    rawBody,
    params: {},
    clientIp: call.clientIp ?? '203.0.113.7',
    requestId: newId(),
  }
}
