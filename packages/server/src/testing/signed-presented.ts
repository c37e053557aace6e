import type { Presented } from '../http/authenticators.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { signedHeaders } from './sign-request.ts'

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
  const headers = call.caller === undefined ? {} : { 'x-alter-caller': call.caller }
  return {
    method: 'POST',
    target: call.path,
    headers: signedHeaders({ ...call, body: rawBody, nowMs: call.clock.now(), headers }),
    readBody: async () => rawBody,
    params: {},
    clientIp: call.clientIp ?? '203.0.113.7',
    requestId: newId(),
  }
}
