/** Puts a credential on a provider request, as the vault said. The only code that reads `TokenResponse.accessToken`. */
import { findAwsScope } from '@alter-vault/contracts/aws/hosts'
import { AWS_SIGNATURE } from '@alter-vault/contracts/aws/signature'
import { AlterSDKError, BackendError } from './generated/errors.ts'
import type { TokenResponse } from './generated/models.ts'
import { NEVER_INJECTED_HEADERS } from './header-names.ts'
import { encodeStrictly } from './signing.ts'
import { signAwsRequest } from './sigv4.ts'

export type ProviderRequest = {
  method: string
  url: URL
  headers: Headers
  body: string | Uint8Array | undefined
}

/**
 * Changes `url` and `headers` in place. What the caller set under the same names gives way.
 *
 * @param nowMs Unix time in milliseconds, for signatures
 * @throws {BackendError} when a credential cannot be put into a header
 * @throws {AlterSDKError} when an AWS region or service is neither in the host nor with the credential
 */
export function injectCredential(request: ProviderRequest, token: TokenResponse, nowMs: number): void {
  if (token.injectionFormat.startsWith(AWS_SIGNATURE) && token.additionalCredentials !== null) {
    injectAwsSignature(request, token, nowMs)
    return
  }
  setSecretHeader(
    request.headers,
    token.injectionHeader,
    token.injectionFormat.replace('{token}', () => token.accessToken),
  )
  for (const { target, key, valueSource } of token.additionalInjections ?? []) {
    const value = secretOf(token, valueSource)
    if (target === 'header') setSecretHeader(request.headers, key, value)
    else setSecretQuery(request.url, key, value)
  }
}

/** Lower-case names of the headers that `injectCredential` sets; they are left out of audit reports. */
export function injectedHeaderNames(token: TokenResponse): Set<string> {
  const headers = token.additionalInjections?.filter(({ target }) => target === 'header') ?? []
  const names = headers.map(({ key }) => key)
  return new Set([token.injectionHeader, ...names].map((name) => name.toLowerCase()))
}

/** Texts that must appear in no report or error: the credentials themselves. */
export function credentialTexts(token: TokenResponse): string[] {
  const { secret_key, session_token, region: _region, service: _service, ...rest } = token.additionalCredentials ?? {}
  return [token.accessToken, secret_key, session_token, ...Object.values(rest)].filter((text) => text !== undefined)
}

function injectAwsSignature(request: ProviderRequest, token: TokenResponse, nowMs: number): void {
  const { secret_key: secretKey, session_token: sessionToken, region, service } = token.additionalCredentials ?? {}
  if (secretKey === undefined) throw new BackendError('The vault sent an AWS credential without its secret key')
  const stored = region !== undefined && service !== undefined ? { region, service } : undefined
  const scope = findAwsScope(request.url.hostname) ?? stored
  if (!scope) {
    throw new AlterSDKError('The AWS region and service are neither in the host name nor stored with the credential')
  }
  assertHeaderValue('x-amz-security-token', sessionToken ?? '')
  assertHeaderValue('authorization', token.accessToken)
  signAwsRequest(request, { accessKeyId: token.accessToken, secretKey, sessionToken }, scope, nowMs)
}

function secretOf(token: TokenResponse, valueSource: string): string {
  if (valueSource === 'token') return token.accessToken
  const value = token.additionalCredentials?.[valueSource.slice('additional_credentials.'.length)]
  if (value === undefined) throw new BackendError(`The vault names "${valueSource}" for injection but did not send it`)
  return value
}

function setSecretHeader(headers: Headers, name: string, value: string): void {
  if (NEVER_INJECTED_HEADERS.has(name.toLowerCase())) {
    throw new BackendError(`The vault names the header "${name}" for a credential, which must not carry one`)
  }
  assertHeaderValue(name, value)
  headers.set(name, value)
}

/** `Headers` would refuse such a value too, but with the value in its message. */
function assertHeaderValue(name: string, value: string): void {
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
    throw new BackendError(`The credential for the header "${name}" has characters that a header cannot carry`)
  }
}

function setSecretQuery(url: URL, name: string, value: string): void {
  const kept = url.search
    .slice(1)
    .split('&')
    .filter((piece) => piece !== '' && !new URLSearchParams(piece).has(name))
  url.search = [...kept, `${encodeStrictly(name)}=${encodeStrictly(value)}`].join('&')
}
