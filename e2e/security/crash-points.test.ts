import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FaultPoint } from '../../packages/server/src/kernel/faults.ts'
import { approvalLink } from '../support/approval-link.ts'
import { readAuditLog, rowsAbout } from '../support/audit-log.ts'
import { type SdkAnswer, signedRequest } from '../support/signed-request.ts'
import { startVaultWithProvider, type VaultWithProvider } from '../support/vault-with-provider.ts'

/*
 * The server ends itself with SIGKILL at each numbered point of a proxied call and of an approved execution, then starts again on the
 * same data. What the tables of docs/architecture.md and docs/spec/approvals.md#execution promise is read from the batches of the audit
 * log and from what arrived at the provider.
 */

const PACE = { sweepEveryMs: 200 }

let folder: string
let armed: string
let desk: VaultWithProvider

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vault-faults-'))
  armed = join(folder, 'die-at')
  desk = await startVaultWithProvider({
    entry: join(import.meta.dirname, '../support/faulty-vault.ts'),
    env: { E2E_DIE_AT: armed, E2E_PACE: JSON.stringify(PACE) },
  })
  await desk.holdCallsTo('/held/**')
})
afterAll(async () => {
  await desk?.[Symbol.asyncDispose]()
  if (folder !== undefined) await rm(folder, { recursive: true, force: true })
})

const arm = (point: FaultPoint) => writeFile(armed, point)

/** The process has died at the point; another takes its place. */
async function rise(): Promise<void> {
  expect((await desk.vault.ended()).signal).toBe('SIGKILL')
  await writeFile(armed, '')
  await desk.vault.startAgain()
}

const call = (path: string): Promise<SdkAnswer> =>
  signedRequest(desk.vault.baseUrl, {
    apiKey: desk.runtimeKey,
    path: '/sdk/proxy',
    body: { grant_id: desk.grantId, method: 'POST', url: `${desk.api.url}${path}`, body: { n: 1 } },
  })

const log = () => desk.vault.asOwner((owner) => readAuditLog(owner, desk.appId))
const rowsOf = async (path: string) => rowsAbout(await log(), `${desk.api.url}${path}`)
const eventsOf = async (path: string) => (await rowsOf(path)).map(({ event }) => event)

it('stores the intent before the first byte reaches the provider', async () => {
  const held = desk.api.hold('/watched')
  const answering = call('/watched')
  await held.arrived
  expect(await eventsOf('/watched')).toEqual(['proxy.requested'])
  held.release()
  expect((await answering).status).toBe(200)
  expect(await eventsOf('/watched')).toEqual(['proxy.requested', 'proxy.executed'])
})

describe('killed in a proxied call', () => {
  const endings = {
    before_intent: { sent: 0, events: [] },
    after_intent: { sent: 0, events: ['proxy.requested'] },
    after_open: { sent: 0, events: ['proxy.requested'] },
    after_send: { sent: 1, events: ['proxy.requested'] },
    before_outcome: { sent: 1, events: ['proxy.requested'] },
  } as const

  it.each(Object.entries(endings))('at %s', async (point, { sent, events }) => {
    const path = `/call/${point}`
    await arm(point as FaultPoint)
    await expect(call(path)).rejects.toThrow()
    await rise()
    expect(await eventsOf(path)).toEqual(events)
    expect(desk.api.to(path)).toHaveLength(sent)
    expect((await call(`${path}/again`)).status).toBe(200)
    expect(desk.api.to(path)).toHaveLength(sent)
  })

  it('while the provider has not answered yet', async () => {
    const held = desk.api.hold('/call/in-flight')
    const answering = expect(call('/call/in-flight')).rejects.toThrow()
    await held.arrived
    await desk.vault.kill9()
    await answering
    held.release()
    await rise()
    expect(await eventsOf('/call/in-flight')).toEqual(['proxy.requested'])
    expect(desk.api.to('/call/in-flight')).toHaveLength(1)
  })

  it('ten minutes later: each intent without an outcome gets the one that says so, and nothing is sent', async () => {
    const before = desk.api.requests.length
    const left = Object.entries(endings).filter(([, { events }]) => events.length > 0)
    const paths = [...left.map(([point]) => `/call/${point}`), '/call/in-flight']
    await expect
      .poll(
        async () => {
          // As if the intents were older; they wait here once they have their place in the log.
          await desk.vault.asOwner((owner) =>
            owner.query(`update due_work set due_at = now() where kind = 'audit_intent'`),
          )
          return Promise.all(paths.map(eventsOf))
        },
        { timeout: 30_000, interval: 500 },
      )
      .toEqual(paths.map(() => ['proxy.requested', 'proxy.outcome_unknown']))
    expect(desk.api.requests).toHaveLength(before)
  })
})

describe('killed while a credential is handed out', () => {
  const retrieve = (url: string) =>
    signedRequest(desk.vault.baseUrl, {
      apiKey: desk.runtimeKey,
      path: '/sdk/token',
      body: { grant_id: desk.grantId, request: { method: 'GET', url } },
    })

  it.each([
    ['before_intent', []],
    ['after_intent', ['token.requested']],
    ['before_outcome', ['token.requested']],
  ] as const)('at %s', async (point, events) => {
    const path = `/token/${point}`
    await arm(point)
    await expect(retrieve(`${desk.api.url}${path}`)).rejects.toThrow()
    await rise()
    expect(await eventsOf(path)).toEqual(events)
  })
})

describe('killed in an approved execution', () => {
  type Ending = { status: string; execution_error: string | null; outcomes: string[] }

  /** How the request of a path stands, with how its attempts ended, oldest first. */
  const endingOf = (approvalId: string): Promise<Ending> =>
    desk.vault.asOwner(async (owner) => {
      const { rows } = await owner.query<Ending>(
        `select g.status, g.execution_error, array(select coalesce(a.outcome, 'open') from approval_attempts a
           where a.approval_group_id = g.approval_group_id order by a.lease_number) as outcomes
         from approval_groups g join approval_gates using (approval_group_id) where approval_id = $1`,
        [approvalId],
      )
      if (rows[0] === undefined) throw new Error(`There is no approval ${approvalId}`)
      return rows[0]
    })

  /** As if the lease of the dead process had run out. */
  const endLeases = () =>
    desk.vault.asOwner(async (owner) => {
      await owner.query(`update approval_attempts set lease_until = now() - interval '1 second' where ended_at is null`)
      await owner.query(`update due_work set due_at = now() where kind = 'approval_execution'`)
    })

  /** Holds a call, approves it with the point armed, and starts the server again once it died there. */
  async function dieAt(point: FaultPoint, path: string): Promise<string> {
    const held = await call(path)
    expect(held.status).toBe(202)
    const link = approvalLink(String(held.body.approval_url))
    await arm(point)
    // The process may die before it can answer the approver.
    await link.approve().catch(() => undefined)
    await rise()
    return link.approvalId
  }

  const settled = (approvalId: string) =>
    expect
      .poll(async () => (await endingOf(approvalId)).status, { timeout: 30_000, interval: 100 })
      .not.toMatch(/executing|approved/)

  it('after the claim: claimed again and sent once', async () => {
    const path = '/held/after_claim'
    const approvalId = await dieAt('after_claim', path)
    expect(await endingOf(approvalId)).toMatchObject({ status: 'executing', outcomes: ['open'] })
    expect(desk.api.to(path)).toHaveLength(0)
    await endLeases()
    await settled(approvalId)
    expect(await endingOf(approvalId)).toEqual({
      status: 'executed',
      execution_error: null,
      outcomes: ['not_sent', 'executed'],
    })
    expect(desk.api.to(path)).toHaveLength(1)
    const events = await eventsOf(path)
    expect(events.filter((event) => event === 'approval.executing')).toHaveLength(1)
    expect(events.filter((event) => event === 'approval.executed')).toHaveLength(1)
  })

  it('after the claim, found too late: ends without being sent', async () => {
    const path = '/held/too-late'
    const approvalId = await dieAt('after_claim', path)
    await desk.vault.asOwner((owner) =>
      owner.query(`update approval_groups set decided_at = now() - interval '16 minutes' where status = 'executing'`),
    )
    await endLeases()
    await settled(approvalId)
    expect(await endingOf(approvalId)).toEqual({
      status: 'failed',
      execution_error: 'execution_window_ended',
      outcomes: ['not_sent'],
    })
    expect(desk.api.to(path)).toHaveLength(0)
  })

  it.each([
    ['after_sent_at', 0],
    ['after_open', 0],
    ['after_send', 1],
    ['after_result', 1],
  ] as const)(
    'at %s, once it counts as sent: failed with an unknown outcome, never sent again',
    async (point, sent) => {
      const path = `/held/${point}`
      const approvalId = await dieAt(point, path)
      expect(await endingOf(approvalId)).toMatchObject({ status: 'executing', outcomes: ['open'] })
      await endLeases()
      await settled(approvalId)
      expect(await endingOf(approvalId)).toEqual({
        status: 'failed',
        execution_error: 'execution_outcome_unknown',
        outcomes: ['unknown'],
      })
      expect(desk.api.to(path)).toHaveLength(sent)
      const rows = await rowsOf(path)
      const intent = rows.find(({ event }) => event === 'approval.executing')
      const unknown = rows.filter(({ event }) => event === 'approval.outcome_unknown')
      expect(unknown.map(({ intentId }) => intentId)).toEqual([intent?.eventId])
      // The lease of an attempt that has ended means nothing to anybody.
      await endLeases()
      await call('/after-the-end')
      expect(desk.api.to(path)).toHaveLength(sent)
    },
  )

  it('after the answer was recorded: the answer is there, and nothing is sent again', async () => {
    const path = '/held/after_record'
    const approvalId = await dieAt('after_record', path)
    expect(await endingOf(approvalId)).toEqual({ status: 'executed', execution_error: null, outcomes: ['executed'] })
    await endLeases()
    await using app = desk.app()
    const result = await app.awaitApproval(approvalId, { timeoutMs: 30_000, pollIntervalMs: 100 })
    expect(result.statusCode).toBe(200)
    expect(desk.api.to(path)).toHaveLength(1)
  })
})

it('has sent nothing without an intent, and no intent twice', async () => {
  const intents = (await log()).filter(({ event }) => ['proxy.requested', 'approval.executing'].includes(event))
  for (const { path } of desk.api.requests) {
    expect(intents.filter(({ detail }) => detail.url === `${desk.api.url}${path}`).length, path).toBeGreaterThan(0)
  }
  const sent = Map.groupBy(desk.api.requests, ({ path }) => path)
  for (const [path, requests] of sent) {
    const allowed = intents.filter(({ detail }) => detail.url === `${desk.api.url}${path}`).length
    expect(requests.length, path).toBeLessThanOrEqual(allowed)
  }
})
