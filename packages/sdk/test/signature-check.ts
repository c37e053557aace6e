import { signatureOf } from '../../server/src/testing/sign-request.ts'
import type { RecordedRequest } from './recording-vault.ts'

/** What the signature headers of a recorded request must be, as the server reads it: only targets without unusual escapes. */
export function expectedSignature(request: RecordedRequest, apiKey: string, mount = ''): string {
  const [path = '', query] = request.target.slice(mount.length).split('?')
  const { method, headers, bytes: body } = request
  const target = path + (query ? `?${query.split('&').sort().join('&')}` : '')
  return signatureOf({ apiKey, method, path: target, body, headers })
}
