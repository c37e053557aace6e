import type { SecretInjection } from '@alter-vault/contracts'
import { parseHostPatterns } from '../egress/allowed-hosts.ts'
import type { CredentialType, CredentialValue } from '../egress/credential-value.ts'
import { type Injection, parseInjection } from '../egress/injection.ts'
import { invalidField, VaultError } from '../kernel/vault-error.ts'

/** Types whose place on a request a standard fixes; a header or format of one's own would have no effect. */
const FIXED_PLACE: Partial<Record<CredentialType, string>> = {
  bearer: 'RFC 6750',
  basic: 'RFC 7617',
  aws_sigv4: 'AWS Signature Version 4',
}

/** What is injected and where, for a value of this type. Refusal: `validation_failed`. */
export function parseSecretInjection(
  type: CredentialType,
  written: SecretInjection,
  fieldNames: ReadonlySet<string>,
): Injection {
  const standard = FIXED_PLACE[type]
  for (const member of ['header', 'format'] as const) {
    if (standard === undefined || written[member] === undefined) continue
    const message = `"${member}" of a "${type}" credential is fixed by ${standard}; "api_key" and "custom" choose theirs.`
    throw invalidField(`/injection/${member}`, message, 'not_allowed_value')
  }
  const injection = parseInjection(type, written, { fieldNames })
  if (type === 'basic') return { ...injection, format: 'Basic {token}' }
  return injection
}

/** Where a stored injection reads fields that a new value does not have, the value is refused: `validation_failed`. */
export function assertFitsInjection(type: CredentialType, injection: Injection, value: CredentialValue): void {
  const fields = fieldNamesOf(value)
  for (const { valueSource } of injection.additional) {
    const field = /^additional_credentials\.(.+)$/.exec(valueSource)?.[1]
    if (field === undefined || fields.has(field)) continue
    throw invalidField(
      `/value/fields/${field}`,
      `The injection of this "${type}" secret needs the field "${field}".`,
      'required',
    )
  }
}

export const fieldNamesOf = (value: CredentialValue): ReadonlySet<string> =>
  new Set(value.type === 'custom' ? value.fields.keys() : [])

/** Host patterns in one spelling, at least one. Refusals: `allowed_hosts_required`, `validation_failed`. */
export function parseAllowedHosts(patterns: readonly string[], allowedPrivateHosts: readonly string[]): string[] {
  if (patterns.length === 0) {
    throw new VaultError('allowed_hosts_required', {
      message: '"allowed_hosts" must name at least one host that the credential may be sent to.',
    })
  }
  return parseHostPatterns(patterns, { allowedPrivateHosts: new Set(allowedPrivateHosts) })
}
