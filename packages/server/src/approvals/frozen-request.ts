import { hash } from 'node:crypto'
import { type DecisionRecord, HELD_BODY_MAX_BYTES } from '@alter-vault/contracts'
import { sha256 } from '../kernel/sha256.ts'
import { VaultError } from '../kernel/vault-error.ts'

/*
 * action_hash = SHA-256( "alter.action.v1\n" + RFC 8785 form of
 *   { v: 1, app_id, grant_id, provider_id, agent_id, app_user_id, method, url,
 *     headers: [[lower name, value] …] sorted by name, then value, body_sha256, body_length } )     (docs/spec/approvals.md#freezing)
 *
 * Sealed form: JSON of `FrozenRequest` with the body as base64, under the app's data key, in
 * approval_groups.sealed_request. Opening it computes the hash again: what was approved is what is sent.
 */

/** Everything an approved request is sent with, and what the last check needs. No credential. */
export type FrozenRequest = {
  appId: string
  method: string
  /** Canonical, without what the vault adds to the query. */
  url: string
  /** Of the caller, names in lower case, in sending order; without those the grant injects. */
  headers: readonly (readonly [name: string, value: string])[]
  /** After redaction; null when the request has no body. */
  body: Buffer | null
  /** Names of what the vault adds when it sends. */
  addedByVault: readonly { place: 'header' | 'query' | 'body'; name: string }[]
  grant: {
    id: string
    kind: 'oauth' | 'managed_secret'
    label: string | null
    principalType: string
    principalId: string | null
    scopes: readonly string[]
  }
  credentialId: string
  /** Provider id or secret slug, and the name of it. */
  provider: { id: string; name: string; account: string | null }
  key: { id: string; prefix: string; name: string; type: 'rk' | 'ak' | 'dk' }
  agent: { id: string; name: string; type: string } | null
  appUserId: string | null
  caller: string | null
  callerType: string | null
  actorId: string | null
  clientIp: string
  userAgent: string | null
  traceId: string
  reason: string | null
  context: Readonly<Record<string, string>>
  decision: DecisionRecord
}

const SEALED_VERSION = 1

const sha256Hex = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex')
const NO_BODY = Buffer.alloc(0)

/** Bytes and hash of the body; both also for a request without one. */
export function bodyOf(request: Pick<FrozenRequest, 'body'>): { bytes: Buffer; sha256: string } {
  const bytes = request.body ?? NO_BODY
  return { bytes, sha256: sha256Hex(bytes) }
}

/** The text that is hashed. Members are written in the order of RFC 8785; strings are hashed as they are sent. */
export function canonicalAction(request: FrozenRequest): string {
  const { bytes, sha256 } = bodyOf(request)
  const headers = request.headers
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
  return JSON.stringify({
    agent_id: request.agent?.id ?? null,
    app_id: request.appId,
    app_user_id: request.appUserId,
    body_length: bytes.length,
    body_sha256: sha256,
    grant_id: request.grant.id,
    headers,
    method: request.method,
    provider_id: request.provider.id,
    url: request.url,
    v: 1,
  })
}

/** What a person approves: 32 bytes over everything that is sent. */
export function actionHash(request: FrozenRequest): Buffer {
  return sha256(`alter.action.v1\n${canonicalAction(request)}`)
}

/** Method, host and path: what a list shows and what makes two requests similar. */
export function actionLine(request: Pick<FrozenRequest, 'method' | 'url'>): string {
  const withoutScheme = request.url.slice(request.url.indexOf('://') + 3)
  const end = withoutScheme.indexOf('?')
  return `${request.method} ${end < 0 ? withoutScheme : withoutScheme.slice(0, end)}`
}

/**
 * Refuses what cannot be frozen: 413 `body_too_large` over 1 MiB; `validation_failed` for text that is not well-formed,
 * since RFC 8785 has no form for it and its hash would stand for two requests.
 */
export function assertFreezable(request: FrozenRequest): void {
  const size = request.body?.length ?? 0
  if (size > HELD_BODY_MAX_BYTES) {
    throw new VaultError('body_too_large', {
      message: `The body has ${size} bytes; a request that waits for approval may have at most ${HELD_BODY_MAX_BYTES}.`,
    })
  }
  const texts = [request.method, request.url, ...request.headers.flat()]
  if (!texts.every((text) => text.isWellFormed())) {
    const message = 'The method, URL or a header holds half a character (a lone surrogate).'
    throw new VaultError('validation_failed', { message, errors: [{ pointer: '', code: 'invalid', message }] })
  }
}

/** The plaintext to seal. */
export function encodeFrozenRequest(request: FrozenRequest): Buffer {
  const { body, ...rest } = request
  return Buffer.from(JSON.stringify({ v: SEALED_VERSION, ...rest, body_b64: body?.toString('base64') ?? null }))
}

/** The request from its opened plaintext. Throws when it is not the one that `expectedHash` was approved for. */
export function decodeFrozenRequest(plaintext: Buffer, expectedHash: Buffer): FrozenRequest {
  const { v, body_b64, ...rest } = JSON.parse(plaintext.toString('utf8')) as Omit<FrozenRequest, 'body'> & {
    v: number
    body_b64: string | null
  }
  if (v !== SEALED_VERSION)
    throw new Error(`Frozen request of version ${v} is not known to this version of the server.`)
  const request: FrozenRequest = { ...rest, body: body_b64 === null ? null : Buffer.from(body_b64, 'base64') }
  if (!actionHash(request).equals(expectedHash)) {
    throw new Error('A frozen request does not have the hash that it was held with; it must not be shown or sent.')
  }
  return request
}

const IDEMPOTENCY_HEADERS = new Set(['idempotency-key', 'x-idempotency-key'])

/** True when the caller marked the request as a repeat of every other with the same bytes. */
export const hasIdempotencyHeader = (request: Pick<FrozenRequest, 'headers'>): boolean =>
  request.headers.some(([name, value]) => IDEMPOTENCY_HEADERS.has(name.toLowerCase()) && value !== '')
