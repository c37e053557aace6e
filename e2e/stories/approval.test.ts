import {
  ApprovalDeniedError,
  type ApprovalResult,
  PendingApproval as Pending,
  type PendingApproval,
  PolicyViolationError,
} from '@alter-ai/alter-sdk'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensureWalletBuilt } from '../../tools/bootstrap/build-wallet.mjs'
import { approvalLink } from '../support/approval-link.ts'
import { launchBrowser } from '../support/browser.ts'
import { startVaultWithProvider, type VaultWithProvider } from '../support/vault-with-provider.ts'

const stack = new AsyncDisposableStack()
let desk: VaultWithProvider
let browser: Browser

beforeAll(async () => {
  ensureWalletBuilt(process.execPath)
  desk = stack.use(await startVaultWithProvider())
  browser = await launchBrowser()
  stack.defer(() => browser.close())
  await desk.holdCallsTo('/orders/*/refund')
})
afterAll(() => stack.disposeAsync())

const url = (path: string) => `${desk.api.url}${path}`
const pathOf = (order: number) => `/orders/${order}/refund`

async function held(order: number, reason = 'The parcel never came'): Promise<PendingApproval> {
  await using worker = desk.worker()
  const outcome = await worker.proxyRequest('POST', url(pathOf(order)), {
    grantId: desk.agent.grantId,
    json: { amount: 1_250 },
    reason,
  })
  expect(outcome).toBeInstanceOf(Pending)
  return outcome as PendingApproval
}

async function awaited(pending: PendingApproval): Promise<ApprovalResult> {
  await using worker = desk.worker()
  return await worker.awaitApproval(pending.approvalId, { timeoutMs: 60_000, pollIntervalMs: 100 })
}

const eventsOf = async (pending: PendingApproval) =>
  (await desk.operator.auditEvents({ approval_id: pending.approvalId })).map(({ event }) => event).toReversed()

describe('a call that no rule holds', () => {
  it('is answered with what the provider said, and recorded before and after', async () => {
    await using app = desk.app({ caller: 'checkout' })
    const outcome = await app.proxyRequest('POST', url('/orders'), {
      grantId: desk.grantId,
      json: { sku: 'A-1' },
      queryParams: { expand: ['lines', 'customer'] },
      reason: 'New order',
    })
    expect(outcome).not.toBeInstanceOf(Pending)
    expect((outcome as ApprovalResult).bodyJson()).toEqual({ method: 'POST', path: '/orders', body: '{"sku":"A-1"}' })
    const [request] = desk.api.to('/orders')
    expect(request?.headers.authorization).toBe(`Bearer ${desk.token}`)
    expect(request?.query.getAll('expand')).toEqual(['lines', 'customer'])

    const rows = await desk.operator.auditEvents({ grant_id: desk.grantId, stream: 'runtime' })
    const [outcomeRow, intentRow] = rows
    expect(rows.map(({ event }) => event)).toEqual(['proxy.executed', 'proxy.requested'])
    expect(outcomeRow?.intent_id).toBe(intentRow?.event_id)
    expect(intentRow?.reason).toBe('New order')
  })

  it('is refused with the rule and its reason when a rule denies, and nothing is sent', async () => {
    const rule = await desk.operator.createRule({
      target: { type: 'app', id: desk.appId },
      type: 'json_match',
      name: 'Nobody deletes',
      body: { effect: 'deny', when: { method: 'DELETE' } },
    })
    await using app = desk.app()
    const refusal = await app
      .proxyRequest('DELETE', url('/orders/1'), { grantId: desk.grantId })
      .catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(PolicyViolationError)
    const { details, policyError } = refusal as PolicyViolationError
    expect(policyError).toBe('policy_denied')
    expect(details).toMatchObject({ status_code: 403, reasons: [{ code: 'policy_denied', rule_id: rule.id }] })
    expect(desk.api.to('/orders/1')).toEqual([])
    const [row] = await desk.operator.auditEvents({ event: 'proxy.denied' })
    expect(row).toMatchObject({ outcome: 'policy_denied', primary_reason: 'policy_denied' })
  })
})

describe('a held call', () => {
  async function openPage(pending: PendingApproval): Promise<Page> {
    const page = await browser.newPage()
    await page.goto(pending.approvalUrl)
    return page
  }

  it('is approved by a person in a browser, executed once, and its result is read', async () => {
    const pending = await held(1, 'Refund of order 1, ticket 77')
    expect(desk.api.to(pathOf(1))).toEqual([])
    const waiting = awaited(pending)
    const page = await openPage(pending)
    await page.getByText('Refund of order 1, ticket 77').waitFor()
    await page.getByText('1250').first().waitFor()
    await page.keyboard.press('End')
    await page.getByRole('button', { name: 'Approve', exact: true, disabled: false }).click()

    const result = await waiting
    expect(result.statusCode).toBe(200)
    expect(result.bodyJson()).toMatchObject({ path: pathOf(1), body: '{"amount":1250}' })
    await page.getByRole('heading', { level: 1, name: 'Approved and sent' }).waitFor()
    await page.close()

    expect(desk.api.to(pathOf(1))).toHaveLength(1)
    expect(desk.api.to(pathOf(1))[0]?.headers.authorization).toBe(`Bearer ${desk.token}`)
    expect(await eventsOf(pending)).toEqual([
      'approval.requested',
      'approval.decided',
      'approval.approved',
      'approval.executing',
      'approval.executed',
      'approval.result_read',
    ])
  })

  it('is denied by a person in a browser, with a reason that the agent reads', async () => {
    const pending = await held(2)
    const page = await openPage(pending)
    await page.getByRole('button', { name: 'Add a reason' }).click()
    await page.getByRole('textbox', { name: 'Your reason' }).fill('The parcel was signed for')
    await page.getByRole('button', { name: 'Deny', exact: true, disabled: false }).click()
    const denial = await awaited(pending).catch((error: unknown) => error)
    await page.close()
    expect(denial).toBeInstanceOf(ApprovalDeniedError)
    expect((denial as Error).message).toBe('The parcel was signed for')
    expect(desk.api.to(pathOf(2))).toEqual([])
  })

  it('is executed once when its link is used twice at the same moment', async () => {
    const pending = await held(3)
    const link = approvalLink(pending.approvalUrl)
    const states = await Promise.all([link.approve(), link.approve()])
    expect(states.map(({ gate_status }) => gate_status)).toEqual(['approved', 'approved'])
    await awaited(pending)
    expect(desk.api.to(pathOf(3))).toHaveLength(1)
  })

  it('takes no second decision of another kind, and no decision on other bytes than were shown', async () => {
    const pending = await held(4)
    const link = approvalLink(pending.approvalUrl)
    const changed = await link.send({ decision: 'approve', action_hash: '0'.repeat(64) })
    expect(changed).toMatchObject({ status: 409, body: { error: 'action_changed' } })
    const shown = await link.page()
    await link.deny('no')
    const hash = shown.view === 'open' ? shown.action_hash : ''
    const late = await link.send({ decision: 'approve', action_hash: hash })
    expect(late).toMatchObject({ status: 409, body: { error: 'approval_already_decided' } })
    expect(desk.api.to(pathOf(4))).toEqual([])
  })

  it('is withdrawn by an operator, and its link then decides nothing', async () => {
    const pending = await held(5)
    const link = approvalLink(pending.approvalUrl)
    await desk.operator.cancelApproval(pending.approvalId)
    const denial = await awaited(pending).catch((error: unknown) => error)
    expect(denial).toBeInstanceOf(ApprovalDeniedError)
    expect((denial as Error).message).toBe('cancelled')
    expect((await link.page()).view).toBe('ended')
    expect(desk.api.to(pathOf(5))).toEqual([])
  })

  it('ends unsent when its grant is revoked while it waits', async () => {
    const grant = await desk.operator.createGrant(desk.secret.id, { principal: { type: 'system' }, label: 'short' })
    await using app = desk.app()
    const pending = await app.proxyRequest('POST', url(pathOf(6)), { grantId: grant.id, json: {} })
    await desk.operator.revokeGrant(grant.id)
    const denial = await app
      .awaitApproval((pending as PendingApproval).approvalId, { timeoutMs: 30_000, pollIntervalMs: 100 })
      .catch((error: unknown) => error)
    expect(denial).toBeInstanceOf(ApprovalDeniedError)
    expect((denial as Error).message).toBe('grant_revoked')
    expect(desk.api.to(pathOf(6))).toEqual([])
  })

  it('waits for every gate: one approval is not enough when another rule names approvers', async () => {
    await desk.holdCallsTo('/payouts/*', { window_seconds: 1_800 })
    await desk.holdCallsTo('/payouts/*', { approvers: ['ann@example.com', 'bob@example.com'], quorum: 2 })
    await using app = desk.app()
    const outcome = await app.proxyRequest('POST', url('/payouts/9'), { grantId: desk.grantId, json: { to: 'x' } })
    const pending = outcome as PendingApproval
    expect(pending.gates).toHaveLength(2)

    const pages = await Promise.all(pending.gates.map((gate) => approvalLink(gate.approvalUrl).page()))
    const modes = pages.map((page) => (page.view === 'open' ? page.options.link_mode : page.view))
    const open = approvalLink(pending.gates[modes.indexOf('bearer')]?.approvalUrl ?? '')
    const signIn = approvalLink(pending.gates[modes.indexOf('sign_in')]?.approvalUrl ?? '')
    expect((await open.approve()).status).toBe('pending')
    await expect(signIn.approve()).rejects.toThrow('sign_in_required')

    const status = await app.getApprovalStatus(pending.approvalId)
    expect(status.status).toBe('pending')
    expect(status.gates.map((gate) => gate.status).toSorted()).toEqual(['approved', 'pending'])
    await desk.operator.cancelApproval(pending.approvalId)
    expect((await app.getApprovalStatus(pending.approvalId)).status).toBe('denied')
    expect(desk.api.to('/payouts/9')).toEqual([])
  })

  it('belongs to the agent that asked: an app key of another agent cannot read it', async () => {
    const pending = await held(7)
    const other = await desk.operator.createAgent({ name: 'other', scopes: {} })
    await using stranger = desk.worker({ apiKey: other.api_key ?? '' })
    await expect(stranger.getApprovalStatus(pending.approvalId)).rejects.toMatchObject({
      details: { error: 'approval_not_found' },
    })
    await approvalLink(pending.approvalUrl).deny()
  })
})

describe('the demonstration', () => {
  it('refunds once, after the approval that it asks for', async () => {
    const { demo_api, grants } = desk.vault.dev
    await using app = desk.app({ apiKey: desk.vault.dev.runtime_key })
    const read = async (path: string) =>
      (
        (await app.proxyRequest('GET', `${demo_api.url}${path}`, { grantId: grants.payments_system })) as ApprovalResult
      ).bodyJson() as { data: { payment?: string; amount: number }[] }
    expect((await read('/v1/payments')).data).toHaveLength(3)
    const outcome = await app.proxyRequest('POST', `${demo_api.url}/v1/refunds`, {
      grantId: grants.payments_system,
      json: { payment: 'pay_1001', amount: 900 },
      reason: 'Late delivery',
    })
    const { approvalId, approvalUrl } = outcome as PendingApproval
    await approvalLink(approvalUrl).approve()
    const result = await app.awaitApproval(approvalId, { timeoutMs: 60_000, pollIntervalMs: 100 })
    expect(result.statusCode).toBe(201)
    expect((await read('/v1/ledger')).data).toMatchObject([{ amount: 900, path: '/v1/refunds' }])
  })
})

it('leaves an audit trail that verifies', async () => {
  const check = await desk.operator.checkIntegrity()
  expect(check).toMatchObject({ status: 'ok', first_error: null })
  expect(check.rows_checked).toBeGreaterThan(20)
})
