import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ApprovalResult, PendingApproval } from '@alter-ai/alter-sdk'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { approvalLink } from '../support/approval-link.ts'
import { startVaultWithProvider, type VaultWithProvider } from '../support/vault-with-provider.ts'

let desk: VaultWithProvider

beforeAll(async () => {
  desk = await startVaultWithProvider()
  await desk.holdCallsTo('/held/**')
})
afterAll(() => desk?.[Symbol.asyncDispose]())

async function call(path: string): Promise<ApprovalResult | PendingApproval> {
  await using app = desk.app()
  return await app.proxyRequest('POST', `${desk.api.url}${path}`, { grantId: desk.grantId, json: { n: 1 } })
}

const eventsOn = async (path: string) =>
  (await desk.operator.auditEvents({ grant_id: desk.grantId }))
    .filter((row) => JSON.stringify(row).includes(`${desk.api.url}${path}`))
    .map(({ event }) => event)

it('keeps what a person needs to begin in a file that only its owner reads', async () => {
  for (const name of ['dev.json', 'root-keys.json']) {
    const { mode } = await stat(join(desk.vault.dataDir, name))
    expect((mode & 0o777).toString(8), name).toBe('600')
  }
})

it('lets a call in flight finish when it is asked to end, and takes no new one', async () => {
  const hold = desk.api.hold('/slow')
  const slow = call('/slow')
  await hold.arrived
  const stopped = desk.vault.stop()
  await expect
    .poll(() =>
      fetch(`${desk.vault.baseUrl}/healthz`).then(
        () => 'open',
        () => 'closed',
      ),
    )
    .toBe('closed')
  hold.release()
  expect(((await slow) as ApprovalResult).statusCode).toBe(200)
  expect(await stopped).toBe(0)
})

it('is the same vault after a restart', async () => {
  await desk.vault.startAgain()
  expect(((await call('/after-restart')) as ApprovalResult).statusCode).toBe(200)
  expect(await eventsOn('/slow')).toEqual(['proxy.executed', 'proxy.requested'])
  expect((await desk.operator.checkIntegrity()).status).toBe('ok')
})

it('loses nothing when it is killed: what was held is still held, what was answered is recorded', async () => {
  const answered = (await call('/before-kill')) as ApprovalResult
  const pending = (await call('/held/1')) as PendingApproval
  const made = await desk.operator.mintKey({ name: 'made before the kill', scopes: ['grants:read'] })
  await desk.vault.kill9()
  await desk.vault.startAgain()

  expect(answered.statusCode).toBe(200)
  expect(await eventsOn('/before-kill')).toEqual(['proxy.executed', 'proxy.requested'])
  await using app = desk.app({ apiKey: made.api_key ?? '' })
  await app.listGrants()

  await approvalLink(pending.approvalUrl).approve()
  await using caller = desk.app()
  const result = await caller.awaitApproval(pending.approvalId, { timeoutMs: 60_000, pollIntervalMs: 100 })
  expect(result.statusCode).toBe(200)
  expect(desk.api.to('/held/1')).toHaveLength(1)
  expect((await desk.operator.checkIntegrity()).status).toBe('ok')
})

it('executes after a kill what was approved before it, once', async () => {
  const pending = (await call('/held/2')) as PendingApproval
  await approvalLink(pending.approvalUrl).approve()
  await desk.vault.kill9()
  await desk.vault.startAgain()
  await using app = desk.app()
  const end = await app
    .awaitApproval(pending.approvalId, { timeoutMs: 15_000, pollIntervalMs: 200 })
    .catch((error: unknown) => error as Error)
  // Whether the call had left before the kill is open; that it never leaves twice is not.
  const sent = desk.api.to('/held/2').length
  expect(sent).toBeLessThanOrEqual(1)
  if (end instanceof Error) expect(end.message).toMatch(/execution_outcome_unknown|No outcome/)
  else expect(sent).toBe(1)
})
