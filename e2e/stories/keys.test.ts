import { InsufficientScopeError, KeyInactiveError, KeyRevokedError, KeyRotationExpiredError } from '@alter-ai/alter-sdk'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startVaultWithProvider, type VaultWithProvider } from '../support/vault-with-provider.ts'

const SCOPES = ['proxy:execute', 'grants:read']
let desk: VaultWithProvider

beforeAll(async () => {
  desk = await startVaultWithProvider()
})
afterAll(() => desk?.[Symbol.asyncDispose]())

const call = async (apiKey: string | null, path = '/keys') => {
  await using app = desk.app({ apiKey: apiKey ?? '' })
  return await app.proxyRequest('GET', `${desk.api.url}${path}`, { grantId: desk.grantId })
}

it('lets a rotated key work until its grace ends, and its successor at once', async () => {
  const old = await desk.operator.mintKey({ name: 'rotated', scopes: SCOPES })
  await call(old.api_key)
  const successor = await desk.operator.rotateKey(old.id, 3_600)
  await call(successor.api_key)
  await call(old.api_key)

  const warnings: string[] = []
  await using app = desk.app({
    apiKey: old.api_key ?? '',
    runtime: { warn: (message: string) => warnings.push(message) },
  })
  await app.listGrants()
  expect(warnings.join(' ')).toMatch(/deprecated/i)
})

it('ends a rotated key without grace at once', async () => {
  const old = await desk.operator.mintKey({ name: 'rotated at once', scopes: SCOPES })
  const successor = await desk.operator.rotateKey(old.id, 0)
  await expect(call(old.api_key, '/never')).rejects.toBeInstanceOf(KeyRotationExpiredError)
  await call(successor.api_key)
})

it('refuses a key from the moment its revocation was answered', async () => {
  const key = await desk.operator.mintKey({ name: 'revoked', scopes: SCOPES })
  await call(key.api_key)
  await desk.operator.revokeKey(key.id)
  await expect(call(key.api_key, '/never')).rejects.toBeInstanceOf(KeyRevokedError)
  await desk.operator.revokeKey(key.id)
  const [row] = await desk.operator.auditEvents({ key_id: key.id, event: 'proxy.refused' })
  expect(row).toMatchObject({ outcome: 'refused', primary_reason: 'key_revoked' })
})

it('stops calls that race a revocation: none is sent after it was answered', async () => {
  const key = await desk.operator.mintKey({ name: 'raced', scopes: SCOPES })
  const path = '/raced'
  const stop = new AbortController()
  const racing = Array.from({ length: 4 }, async () => {
    for (;;) {
      if (stop.signal.aborted) return
      await call(key.api_key, path).catch(() => undefined)
    }
  })
  await expect.poll(() => desk.api.to(path).length).toBeGreaterThan(8)
  await desk.operator.revokeKey(key.id)
  const answeredAt = new Date().toISOString()
  const sentBefore = desk.api.to(path).length
  // Intents that were stored before the revocation may still send; there are at most as many as there are callers.
  for (let round = 0; round < 10; round++) await call(key.api_key, path).catch(() => undefined)
  stop.abort()
  await Promise.all(racing)
  expect(desk.api.to(path).length - sentBefore).toBeLessThanOrEqual(racing.length)
  const events = await desk.operator.auditEvents({ key_id: key.id })
  // An intent may bear a time between that of the revocation's row and its commit, which alone is what was answered.
  const late = events.filter(
    ({ event, occurred_at }) => event === 'proxy.requested' && String(occurred_at) > answeredAt,
  )
  expect(late).toEqual([])
})

it('says which scope a narrow key lacks', async () => {
  const narrow = await desk.operator.mintKey({ name: 'narrow', scopes: ['grants:read'] })
  const refusal = await call(narrow.api_key, '/never').catch((error: unknown) => error)
  expect(refusal).toBeInstanceOf(InsufficientScopeError)
  expect((refusal as InsufficientScopeError).missing).toEqual(['proxy:execute'])
})

it('closes an archived app and opens it again', async () => {
  await desk.operator.archiveApp()
  await expect(call(desk.runtimeKey, '/never')).rejects.toBeInstanceOf(KeyInactiveError)
  await expect(
    desk.worker().proxyRequest('GET', `${desk.api.url}/never`, { grantId: desk.agent.grantId }),
  ).rejects.toBeInstanceOf(KeyInactiveError)
  await desk.operator.unarchiveApp()
  await call(desk.runtimeKey)
  expect(desk.api.to('/never')).toEqual([])
})
