/** An independent reading of the signing rules, for what tests record: only targets without unusual escapes. */
import { createHash, createHmac } from 'node:crypto'
import type { RecordedRequest } from './recording-vault.ts'

/** What the signature headers of a recorded request must be. */
export function expectedSignature(request: RecordedRequest, apiKey: string, mount = ''): string {
  const header = (name: string) => request.headers[name]
  const [path = '', query] = request.target.slice(mount.length).split('?')
  const lines = [
    request.method,
    decodeURIComponent(path) + (query ? `?${query.split('&').sort().join('&')}` : ''),
    header('x-alter-timestamp'),
    header('x-alter-nonce'),
    createHash('sha256').update(request.bytes).digest('hex'),
    header('x-alter-scope-constraints') ?? '',
  ]
  const labels = {
    'request-rule': 'x-alter-request-rule',
    caller: 'x-alter-caller',
    'caller-type': 'x-alter-caller-type',
    'actor-id': 'x-alter-actor-id',
    'actor-context': 'x-alter-context',
  }
  for (const [label, name] of Object.entries(labels)) {
    if (header(name) !== undefined) lines.push(`${label}:${header(name)}`)
  }
  const key = createHmac('sha256', apiKey).update('alter-signing-v1').digest()
  return createHmac('sha256', key).update(lines.join('\n')).digest('hex')
}
