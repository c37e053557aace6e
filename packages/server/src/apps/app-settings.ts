import { type AppBranding, type AppSettings, defaultAppSettings, type RuleRemark } from '@alter-vault/contracts'
import { canonicalUrl } from '../egress/canonical-url.ts'
import { type FieldError, VaultError } from '../kernel/vault-error.ts'

/** Settings that are checked and kept, and that nothing reads yet. */
const NOT_IN_THIS_RELEASE = [
  'default_approval_channels',
  'connect_session_ttl_seconds',
  'connect_origins',
  'connect_ip_lock',
  'connect_require_sign_in',
  'wallet_listed',
  'wallet_hidden_sections',
] as const satisfies readonly (keyof AppSettings)[]

/** A warning for each setting that the change asks for and that has no effect in this release. */
export function warnAboutSettings(change: Partial<AppSettings>): RuleRemark[] {
  return NOT_IN_THIS_RELEASE.filter(
    (name) => change[name] !== undefined && JSON.stringify(change[name]) !== JSON.stringify(defaultAppSettings[name]),
  ).map((name) => ({
    pointer: `/settings/${name}`,
    code: 'not_in_this_release',
    message: `"${name}" is kept, but has no effect in this release.`,
  }))
}

/** `host:port` with the host as the dialler writes it. Refusal: `validation_failed` naming every bad entry. */
export function parsePrivateHosts(entries: readonly string[]): string[] {
  const errors: FieldError[] = []
  const hosts = new Set<string>()
  for (const [index, entry] of entries.entries()) {
    const host = parsePrivateHost(entry)
    if (host !== undefined) hosts.add(host)
    else {
      const message = '"allowed_private_hosts" takes one host and one port for each entry, such as "127.0.0.1:9000".'
      errors.push({ pointer: `/settings/allowed_private_hosts/${index}`, code: 'invalid_host', message })
    }
  }
  if (errors.length > 0) throw new VaultError('validation_failed', { message: errors[0]!.message, errors })
  return [...hosts]
}

function parsePrivateHost(entry: string): string | undefined {
  const parts = /^(\[[0-9A-Fa-f:.]+\]|[^:/?#@\s\\]+):([1-9]\d{0,4})$/.exec(entry)
  if (parts === null || Number(parts[2]) > 65_535) return undefined
  try {
    return `${canonicalUrl(`https://${parts[1]}`).host}:${parts[2]}`
  } catch {
    return undefined
  }
}

/** An absolute http(s) URL without user info. Refusal: `validation_failed`. */
export function assertWebUrl(url: string, pointer: string): void {
  const parsed = URL.parse(url)
  const isWeb = parsed !== null && (parsed.protocol === 'https:' || parsed.protocol === 'http:')
  if (isWeb && parsed.username === '' && parsed.password === '') return
  const message = `Expected an absolute http or https address without a user name, such as "https://example.com".`
  throw new VaultError('validation_failed', { message, errors: [{ pointer, code: 'invalid_url', message }] })
}

/** Checks the addresses of a branding. Refusal: `validation_failed`. */
export function assertBranding(branding: AppBranding): void {
  for (const member of ['privacy_url', 'terms_url'] as const) {
    const url = branding[member]
    if (typeof url === 'string') assertWebUrl(url, `/branding/${member}`)
  }
}

/** Checks and normalizes a change of settings. */
export function parseSettingsChange(change: Partial<AppSettings>): Partial<AppSettings> {
  for (const [index, origin] of (change.connect_origins ?? []).entries()) {
    const pointer = `/settings/connect_origins/${index}`
    assertWebUrl(origin, pointer)
    if (new URL(origin).origin !== origin) {
      const message = 'Expected an origin: scheme, host and port without a path.'
      throw new VaultError('validation_failed', { message, errors: [{ pointer, code: 'invalid_origin', message }] })
    }
  }
  if (change.allowed_private_hosts === undefined) return change
  return { ...change, allowed_private_hosts: parsePrivateHosts(change.allowed_private_hosts) }
}
