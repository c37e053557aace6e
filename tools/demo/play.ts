/*
 * Plays the whole story against a running vault, as an agent's program would: an allowed call, a denied one, a held one that a person
 * approves in the browser, and the audit trail of all three.
 *
 *   npm run demo [-- --data-dir .alter] [--timeout 600]
 */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import {
  Agent,
  ApprovalDeniedError,
  ApprovalExpiredError,
  ApprovalTimeoutError,
  NetworkError,
  PendingApproval,
  PolicyViolationError,
} from '@alter-ai/alter-sdk'

type Dev = {
  base_url: string
  app_id: string
  pat: string
  agent_key: string
  demo_api: { url: string }
  grants: { payments_agent: string }
}

const USAGE = 'Usage: npm run demo [-- --data-dir .alter] [--timeout 600]'
const say = (text = '') => process.stdout.write(`${text}\n`)

/** Ends the demonstration with a sentence for whoever runs it. */
function stop(sentence: string): never {
  process.stderr.write(`${sentence}\n`)
  process.exit(1)
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        'data-dir': { type: 'string', default: '.alter' },
        timeout: { type: 'string', default: '600' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (!values.help) return values
  } catch (error) {
    return stop(`${(error as Error).message}\n${USAGE}`)
  }
  say(USAGE)
  return process.exit(0)
}

const values = readOptions()
const dataDir = resolve(values['data-dir'])

function readDev(): Dev {
  const file = join(dataDir, 'dev.json')
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Dev
  } catch {
    return stop(`There is no "${file}". Start the vault first: npm start`)
  }
}

const dev = readDev()
const payments = `${dev.demo_api.url}/v1`
await using agent = new Agent({
  apiKey: dev.agent_key,
  baseUrl: dev.base_url,
  caller: 'demo',
  // The client warns of plain HTTP; on this machine that is expected.
  runtime: { warn: () => {} },
})
const grantId = dev.grants.payments_agent

async function manage<T>(method: string, path: string): Promise<T> {
  const response = await fetch(`${dev.base_url}/api/v1/apps/${dev.app_id}${path}`, {
    method,
    headers: { Authorization: `Bearer ${dev.pat}`, 'Content-Type': 'application/json' },
    ...(method === 'GET' ? {} : { body: '{}' }),
  })
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`)
  return (await response.json()) as T
}

const startedAt = new Date(Date.now() - 1_000).toISOString()

say('1. An allowed call: the agent lists payments. It never sees the API token.')
const listed = await agent
  .proxyRequest('GET', `${payments}/payments`, {
    grantId,
    reason: 'Show the payments of today',
  })
  .catch((error: unknown) => {
    if (error instanceof NetworkError) stop(`The vault at ${dev.base_url} does not answer. Start it first: npm start`)
    throw error
  })
if (listed instanceof PendingApproval) throw new Error('Listing payments was held; a rule of this app asks for it.')
const { data } = listed.bodyJson() as { data: { id: string; amount: number; customer: string }[] }
for (const payment of data)
  say(`     ${payment.id}  ${(payment.amount / 100).toFixed(2).padStart(8)} EUR  ${payment.customer}`)

say('\n2. A denied call: a refund above the limit.')
try {
  await agent.proxyRequest('POST', `${payments}/refunds`, {
    grantId,
    json: { payment: 'pay_1003', amount: 129_900 },
    reason: 'The customer is angry',
  })
  throw new Error('The refund was not refused.')
} catch (error) {
  if (!(error instanceof PolicyViolationError)) throw error
  const reasons = (error.details.reasons ?? []) as { code: string; rule_name?: string }[]
  say(`     refused: ${error.policyError}${reasons[0]?.rule_name ? ` by the rule "${reasons[0].rule_name}"` : ''}`)
  say(`     ${error.message}`)
}

say('\n3. A held call: a small refund waits for a person.')
const refund = await agent.proxyRequest('POST', `${payments}/refunds`, {
  grantId,
  json: { payment: 'pay_1001', amount: 1_900, reason: 'Arrived broken' },
  reason: 'Refund 19.00 EUR to Ada Vance: her order arrived broken (ticket 4711)',
})
if (!(refund instanceof PendingApproval)) throw new Error('The refund was not held.')
say('     open this link and decide:')
say(`\n     ${refund.approvalUrl}\n`)
try {
  const result = await agent.awaitApproval(refund.approvalId, { timeoutMs: Number(values.timeout) * 1_000 })
  say(`     approved and sent once; the payments API answered ${result.statusCode}: ${result.bodyText()}`)
} catch (error) {
  if (error instanceof ApprovalTimeoutError || error instanceof ApprovalExpiredError)
    stop(`     nobody decided within ${values.timeout} s, and nothing was sent. Type npm run demo to begin again.`)
  if (!(error instanceof ApprovalDeniedError)) throw error
  say(`     denied${error.message ? `: ${error.message}` : ''}. Nothing was sent.`)
}
const ledger = await agent.proxyRequest('GET', `${payments}/ledger`, { grantId, reason: 'See what really happened' })
if (!(ledger instanceof PendingApproval)) {
  const { data: entries } = ledger.bodyJson() as { data: unknown[] }
  say(`     the ledger of the payments API holds ${entries.length} refund${entries.length === 1 ? '' : 's'}`)
}

say('\n4. The audit trail')
type Event = { occurred_at: string; event: string; outcome: string; primary_reason: string | null }
const { items } = await manage<{ items: Event[] }>(
  'GET',
  `/audit/events?start=${encodeURIComponent(startedAt)}&limit=100`,
)
for (const event of items.reverse()) {
  say(
    `     ${event.occurred_at.slice(11, 23)}  ${event.event.padEnd(20)} ${event.outcome}${event.primary_reason ? ` (${event.primary_reason})` : ''}`,
  )
}
const check = await manage<{ status: string; rows_checked: number; checkpoints_checked: number }>(
  'POST',
  '/audit/integrity-checks',
)
say(
  `\n     integrity: ${check.status}, ${check.rows_checked} rows and ${check.checkpoints_checked} signed checkpoints checked`,
)
if (check.status !== 'ok') process.exitCode = 1
