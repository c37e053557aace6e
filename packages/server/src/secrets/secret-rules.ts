import type { SecretInjection } from '@alter-vault/contracts'
import { parseHostPatterns } from '../egress/allowed-hosts.ts'
import type { CredentialType, CredentialValue } from '../egress/credential-kind.ts'
import { credentialKinds } from '../egress/credential-kinds.ts'
import { type Injection, parseInjection } from '../egress/injection.ts'
import { invalidField, VaultError } from '../kernel/vault-error.ts'

/** What is injected and where, for a value of this type. Refusal: `validation_failed`. */
export function parseSecretInjection(
  type: CredentialType,
  written: SecretInjection,
  fieldNames: ReadonlySet<string>,
): Injection {
  const kind = credentialKinds[type]
  const { standard } = kind
  for (const member of ['header', 'format'] as const) {
    if (standard === null || written[member] === undefined) continue
    // A header or format of one's own would have no effect.
    const message = `"${member}" of a "${type}" credential is fixed by ${standard.name}; "api_key" and "custom" choose theirs.`
    throw invalidField(`/injection/${member}`, message, 'not_allowed_value')
  }
  const injection = parseInjection(kind, written, { fieldNames })
  return standard === null ? injection : { ...injection, format: standard.format }
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
  new Set('fields' in value ? value.fields.keys() : [])

/** Host patterns in one spelling, at least one. Refusals: `allowed_hosts_required`, `validation_failed`. */
export function parseAllowedHosts(patterns: readonly string[], allowedPrivateHosts: readonly string[]): string[] {
  if (patterns.length === 0) {
    throw new VaultError('allowed_hosts_required', {
      message: '"allowed_hosts" must name at least one host that the credential may be sent to.',
    })
  }
  return parseHostPatterns(patterns, { allowedPrivateHosts: new Set(allowedPrivateHosts) })
}
