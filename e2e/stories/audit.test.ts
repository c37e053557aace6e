import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { AuditExplanation, AuditExport } from '@alter-vault/contracts'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startVaultWithProvider, type VaultWithProvider } from '../support/vault-with-provider.ts'

const MAIN = join(import.meta.dirname, '../../packages/server/src/main.ts')
const REASON = 'Invoice 4711 of May'

let desk: VaultWithProvider
let folder: string

beforeAll(async () => {
  desk = await startVaultWithProvider()
  folder = await mkdtemp(join(tmpdir(), 'export-'))
  await using worker = desk.worker()
  const call = (path: string, reason: string, context = {}) =>
    worker.proxyRequest('POST', `${desk.api.url}${path}`, {
      grantId: desk.agent.grantId,
      json: { n: 1 },
      reason,
      context,
    })
  await worker.trace({ runId: 'run-1', threadId: 'thread-1' }, () =>
    call('/invoices', REASON, { tool: 'send_invoice' }),
  )
  await desk.operator.createRule({
    target: { type: 'agent', id: desk.agent.id },
    type: 'json_match',
    name: 'No payouts',
    body: { effect: 'deny', when: { path: '/payouts' } },
  })
  await call('/payouts', 'Pay out').catch(() => undefined)
})
afterAll(async () => {
  await desk?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

it.each([
  [{ run_id: 'run-1' }, ['proxy.executed', 'proxy.requested']],
  [{ thread_id: 'thread-1' }, ['proxy.executed', 'proxy.requested']],
  [{ tool: 'send_invoice', outcome: 'success' }, ['proxy.executed']],
  [{ q: 'invoice 4711' }, ['proxy.executed', 'proxy.requested']],
  [{ host: '127.0.0.1', policy_decision: 'deny' }, ['proxy.denied']],
])('finds what happened by %j', async (filter, events) => {
  expect((await desk.operator.auditEvents(filter)).map(({ event }) => event)).toEqual(events)
})

it('shows the body of a call, and that somebody looked', async () => {
  const [row] = await desk.operator.auditEvents({ event: 'proxy.executed' })
  const { body } = await desk.operator.ask('GET', `${desk.operator.inApp}/audit/events/${row?.event_id}/body`)
  expect(body).toMatchObject({ request: { text: '{"n":1}', matches: true }, response: { matches: true } })
  expect(await desk.operator.auditEvents({ event: 'audit.queried_body' })).toHaveLength(1)
})

it('explains why a call was refused and what can be done', async () => {
  const [row] = await desk.operator.auditEvents({ event: 'proxy.denied' })
  const { body } = await desk.operator.ask('GET', `${desk.operator.inApp}/audit/traces/${row?.trace_id}/explain`)
  const { end_state, code, remedies, facts } = body as AuditExplanation
  expect({ end_state, code }).toEqual({ end_state: 'policy_denied', code: 'policy_denied' })
  expect(JSON.stringify({ remedies, facts })).toContain('No payouts')
})

async function exported(): Promise<{ rows: string; checkpoints: string; jwks: string }> {
  const { operator, vault } = desk
  const made = (await operator.ask('POST', `${operator.inApp}/audit/exports`, { format: 'ndjson' })).body as AuditExport
  const { text: rows } = await operator.ask('GET', made.rows_path)
  const { text: checkpoints } = await operator.ask('GET', made.checkpoints_path ?? '')
  const jwks = await (await fetch(`${vault.baseUrl}/.well-known/alter-audit-keys.json`)).text()
  return { rows, checkpoints, jwks }
}

/** Runs the verifier that needs no server. */
async function verify(
  files: Record<'rows' | 'checkpoints' | 'jwks', string>,
): Promise<{ code: number; output: string }> {
  const paths = Object.fromEntries(Object.keys(files).map((name) => [name, join(folder, name)]))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  const args = [MAIN, 'audit', 'verify-file', paths.rows ?? '', '--jwks', paths.jwks ?? '']
  return promisify(execFile)(process.execPath, [...args, '--checkpoints', paths.checkpoints ?? '']).then(
    ({ stdout }) => ({ code: 0, output: stdout }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, output: stdout + stderr }),
  )
}

it('can be taken away and checked without a server; one changed letter is found', async () => {
  const files = await exported()
  expect(files.rows).toContain(REASON)
  const whole = await verify(files)
  expect(whole.code, whole.output).toBe(0)
  const changed = await verify({ ...files, rows: files.rows.replace(REASON, 'Invoice 4712 of May') })
  expect(changed.code, changed.output).toBe(1)
  const lines = files.rows.trimEnd().split('\n')
  const shorter = await verify({ ...files, rows: `${lines.toSpliced(Math.floor(lines.length / 2), 1).join('\n')}\n` })
  expect(shorter.code, shorter.output).toBe(1)
})

it('notices when somebody with the whole database changes one letter of one row', async () => {
  expect(await desk.operator.checkIntegrity()).toMatchObject({ status: 'ok', first_error: null })
  await desk.vault.asOwner(async (owner) => {
    const { rowCount } = await owner.query(
      `update audit_batches set rows = convert_to(replace(convert_from(rows, 'UTF8'), $1, $2), 'UTF8')
       where position(convert_to($1, 'UTF8') in rows) > 0`,
      [REASON, 'Invoice 4712 of May'],
    )
    expect(rowCount).toBeGreaterThan(0)
  })
  expect(await desk.operator.checkIntegrity()).toMatchObject({
    status: 'broken',
    first_error: { kind: 'hash_mismatch' },
  })
  expect(await desk.operator.auditEvents({ event: 'system.integrity_failed' })).toHaveLength(1)
})
