import { VaultError } from '../kernel/vault-error.ts'
import { awsCredential } from './aws-credential.ts'
import { basicCredential } from './basic-credential.ts'
import {
  type CredentialKind,
  type CredentialMembers,
  type CredentialType,
  type CredentialValue,
  fault,
  pointerName,
  shownName,
} from './credential-kind.ts'
import { apiKeyCredential, bearerCredential, customCredential } from './token-credentials.ts'

/** Every kind of credential, by its type. */
export const credentialKinds: { readonly [type in CredentialType]: CredentialKind } = {
  bearer: bearerCredential,
  api_key: apiKeyCredential,
  basic: basicCredential,
  aws_sigv4: awsCredential,
  custom: customCredential,
}

/**
 * The value behind the JSON of a write or of an opened frame. Throws `validation_failed` that names each bad member below
 * `pointer`; no message repeats a value.
 */
export function parseCredentialValue(type: CredentialType, json: unknown, pointer = '/value'): CredentialValue {
  const kind = credentialKinds[type]
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    const message = `Expected an object with the members of a "${type}" credential.`
    throw new VaultError('validation_failed', { message, errors: [{ pointer, code: 'invalid_type', message }] })
  }
  const read: CredentialMembers = { record: json as Record<string, unknown>, pointer, errors: [] }
  for (const member in read.record) {
    if (kind.members.includes(member)) continue
    const shown = shownName(member)
    fault(read, pointerName(shown), 'unknown_field', `A "${type}" credential has no member "${shown}".`)
  }
  const value = kind.parse(read)
  const { errors } = read
  if (errors.length > 0) throw new VaultError('validation_failed', { message: errors[0]!.message, errors })
  return value
}

/** The last four characters for lists, only of a value that stays unguessable without them: at least 20 characters. */
export function lastFour(value: CredentialValue): string | undefined {
  const [text = ''] = credentialKinds[value.type].secrets(value)
  return text.length >= 20 ? text.slice(-4) : undefined
}
