import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib'
import type { PendingApproval } from '@alter-ai/alter-sdk'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensureWalletBuilt } from '../../tools/bootstrap/build-wallet.mjs'
import { approvalLink } from '../support/approval-link.ts'
import { launchBrowser } from '../support/browser.ts'
import { signedRequest } from '../support/signed-request.ts'
import { startVaultWithProvider, type VaultWithProvider } from '../support/vault-with-provider.ts'

/** Where `/proc` shows the arguments of processes. */
const LINUX = process.platform === 'linux'

/** A text that nothing else contains, with characters that percent-encoding changes. */
const marked = (what: string) => `CANARY+${what}/${randomBytes(12).toString('hex')}`

const SECRETS = {
  bearer: marked('bearer'),
  apiKey: marked('apikey'),
  username: marked('username'),
  password: marked('password'),
  token: marked('custom'),
  field: marked('field'),
  awsSecret: marked('aws'),
  awsSession: marked('session'),
  rotatedAway: marked('before'),
  rotatedIn: marked('after'),
}
const found = new Map<string, string>(Object.entries(SECRETS))
/** Every body that was received from the vault, but for those whose purpose is to hand something out. */
const received: string[] = []
const browserState: string[] = []
const processArguments: string[] = []

const stack = new AsyncDisposableStack()
let desk: VaultWithProvider
let browser: Browser

/** The ways in which a text may be lying about: as it is, encoded, or encoded as part of something longer. */
function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret)
  const base64 = [0, 1, 2].flatMap((offset) => {
    const shifted = Buffer.concat([Buffer.alloc(offset), bytes])
    // Without the characters that the neighbors of the text would change.
    const whole = shifted.toString('base64').slice(offset === 0 ? 0 : offset + 1)
    const inner = whole.replace(/=+$/, '').slice(0, -2)
    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')]
  })
  return [
    secret,
    encodeURIComponent(secret),
    encodeURIComponent(secret).toLowerCase(),
    JSON.stringify(secret).slice(1, -1).replaceAll('/', '\\/'),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    ...base64,
  ]
}

/** Names of the secrets that the text holds in any form. */
function leaksIn(text: string): string[] {
  return [...found].filter(([, secret]) => formsOf(secret).some((form) => text.includes(form))).map(([name]) => name)
}

const recordingFetch: typeof fetch = async (input, init) => {
  const response = await fetch(input, init)
  const url = String(input instanceof Request ? input.url : input)
  const handsOut = (url.endsWith('/sdk/token') && response.status === 200) || response.status === 202
  if (!handsOut && url.startsWith(desk.vault.baseUrl)) {
    const copy = response.clone()
    received.push(JSON.stringify([...copy.headers]), await copy.text())
  }
  return response
}

/** As a caller reads them: bodies inside answers decoded. */
function opened(text: string): string {
  return text.replace(
    /"(?:body_b64|base64)":"([^"]*)"/g,
    (_, body: string) => `"body":${Buffer.from(body, 'base64').toString('latin1')}`,
  )
}

beforeAll(async () => {
  ensureWalletBuilt(process.execPath)
  desk = stack.use(await startVaultWithProvider({ env: { ALTER_LOG_LEVEL: 'debug' } }))
  browser = await launchBrowser()
  stack.defer(() => browser.close())
  const { pat, runtime_key, agent_key } = desk.vault.dev
  for (const [name, secret] of Object.entries({
    pat,
    runtime_key,
    agent_key,
    worker_key: desk.agent.apiKey,
    app_key: desk.runtimeKey,
    demo_token: desk.token,
  }))
    found.set(name, secret)
  await tellAllStories()
})
afterAll(() => stack.disposeAsync())

async function tellAllStories(): Promise<void> {
  const { operator, api } = desk
  const client = { runtime: { warn: () => undefined, fetch: recordingFetch } }
  const allowed_hosts = [api.host]
  const make = (
    name: string,
    credential_type: 'bearer' | 'api_key' | 'basic' | 'custom' | 'aws_sigv4',
    value: object,
    injection?: object,
  ) =>
    operator.createSecret({
      name,
      credential_type,
      value: { ...value },
      allowed_hosts,
      ...(injection === undefined ? {} : { injection: { ...injection } }),
    })
  const secrets = [
    await make('bearer', 'bearer', { token: SECRETS.bearer }),
    await make('api key', 'api_key', { token: SECRETS.apiKey }, { header: 'X-Service-Key', format: 'Key {token}' }),
    await make('basic', 'basic', { username: SECRETS.username, password: SECRETS.password }),
    await make(
      'custom',
      'custom',
      { token: SECRETS.token, fields: { site: SECRETS.field } },
      {
        header: 'X-Custom',
        format: '{token}',
        additional: [
          { target: 'query_param', key: 'key', value_source: 'token' },
          { target: 'header', key: 'X-Site', value_source: 'additional_credentials.site' },
        ],
      },
    ),
    await make('aws', 'aws_sigv4', {
      access_key_id: 'AKIAIOSFODNN7EXAMPLE',
      secret_access_key: SECRETS.awsSecret,
      session_token: SECRETS.awsSession,
      region: 'eu-central-1',
      service: 's3',
    }),
  ]
  const rotating = await make('rotating', 'bearer', { token: SECRETS.rotatedAway })
  await desk.holdCallsTo('/held/**', { show_result: true })

  await using app = desk.app({ ...client, caller: 'canary' })
  const quietly = (call: Promise<unknown>) => call.catch(() => undefined)
  for (const [index, { base_grant_id }] of secrets.entries()) {
    const grantId = base_grant_id ?? ''
    // A provider that gives back all it was sent, inline and after an approval.
    for (const path of ['/echo', '/gzip/echo']) {
      await app.proxyRequest('POST', `${api.url}${path}`, { grantId, json: { note: 'plain' }, reason: 'echo' })
    }
    const pending = (await app.proxyRequest('POST', `${api.url}/held/echo`, { grantId, json: {} })) as PendingApproval
    const link = approvalLink(pending.approvalUrl)
    found.set(`link ${grantId}`, link.token)
    if (index === 0) await lookInBrowser(pending.approvalUrl)
    await link.approve('fine')
    await app.awaitApproval(pending.approvalId, { timeoutMs: 30_000, pollIntervalMs: 50 })
    if (index < 2) await lookInBrowser(pending.approvalUrl)
    received.push(JSON.stringify(await link.page()))
    // Calls that are refused, and providers that fail.
    for (const path of ['/status/401', '/status/500']) await app.proxyRequest('GET', `${api.url}${path}`, { grantId })
    await quietly(app.proxyRequest('GET', 'https://example.com/', { grantId }))
    await quietly(app.proxyRequest('GET', 'https://127.0.0.1:1/', { grantId }))
    await quietly(app.request('GET', `${api.url}/direct`, { grantId }))
  }
  await operator.rotateSecret(rotating.id, { token: SECRETS.rotatedIn })
  await app.proxyRequest('GET', `${api.url}/echo`, { grantId: rotating.base_grant_id ?? '' })

  // Mistakes that hold a secret: in values, keys and places where they do not belong.
  const mistakes: [string, string, unknown][] = [
    [
      'POST',
      `${operator.inApp}/managed-secrets`,
      { name: 'x', credential_type: 'bearer', value: { tokn: SECRETS.bearer }, allowed_hosts },
    ],
    [
      'POST',
      `${operator.inApp}/managed-secrets`,
      { name: 'x', credential_type: 'bearer', value: { token: `${SECRETS.bearer}\r\n` }, allowed_hosts },
    ],
    [
      'POST',
      `${operator.inApp}/managed-secrets`,
      { name: 'x', credential_type: 'basic', value: SECRETS.password, allowed_hosts },
    ],
    ['POST', `${operator.inApp}/managed-secrets/${rotating.id}/rotate`, { value: { token: [SECRETS.rotatedIn] } }],
  ]
  for (const [method, path, body] of mistakes) received.push((await operator.ask(method, path, body)).text)
  for (const apiKey of [desk.runtimeKey, desk.agent.apiKey, desk.vault.dev.agent_key]) {
    const wrong = await signedRequest(desk.vault.baseUrl, {
      apiKey,
      path: '/sdk/proxy',
      body: { url: `${api.url}/x`, metod: 'GET' },
      afterwards: { 'x-alter-signature': '0'.repeat(64) },
    })
    received.push(wrong.text)
  }
  const withPat = await fetch(`${desk.vault.baseUrl}/api/v1/nothing?token=x`, {
    headers: { Authorization: `Bearer ${desk.vault.dev.pat}` },
  })
  received.push(await withPat.text())
  received.push(JSON.stringify(await operator.ask('GET', `${operator.inApp}/managed-secrets`)))
  received.push(JSON.stringify(await operator.ask('GET', `${operator.inApp}/keys`)))
  received.push(JSON.stringify(await operator.ask('GET', `${operator.inApp}/approvals`)))
  if (LINUX) processArguments.push(...(await argumentsOfTree(desk.vault.pid)))

  await desk.vault.stop()
  await desk.vault.startAgain()
}

/** What a browser keeps of an approval page that was opened by its link. */
async function lookInBrowser(link: string): Promise<void> {
  const context = await browser.newContext()
  const page = await context.newPage()
  const sent: string[] = []
  page.on('request', (request) => {
    sent.push(request.url(), request.headers().referer ?? '')
  })
  await page.goto(link)
  await page.getByRole('heading', { level: 1 }).waitFor()
  const kept = await page.evaluate<unknown>(
    `Promise.all([
      JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie, document.documentElement.outerHTML,
      indexedDB.databases().then((found) => JSON.stringify(found)), caches.keys().then((names) => names.join()),
      JSON.stringify(history.state), performance.getEntries().map(({ name }) => name.split('#')[0]).join(' '),
    ])`,
  )
  browserState.push(
    JSON.stringify(kept),
    JSON.stringify(await context.storageState()),
    sent.map(withoutFragment).join(' '),
  )
  await context.close()
}

/** A fragment is never sent; the browser's own record of the navigation has it. */
const withoutFragment = (url: string) => url.split('#')[0] ?? ''

/** The command lines of a process and all its descendants, from where every user of the machine can read them. */
async function argumentsOfTree(pid: number): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const parents = await Promise.all(
    pids.map(async (each) => {
      const stat = await readFile(`/proc/${each}/stat`, 'utf8').catch(() => '')
      // The name in brackets may hold anything; the parent is the second field behind it.
      return [Number(each), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])] as const
    }),
  )
  const tree = new Set([pid])
  for (let size = 0; size !== tree.size; ) {
    size = tree.size
    for (const [child, parent] of parents) if (tree.has(parent)) tree.add(child)
  }
  return Promise.all([...tree].map((each) => readFile(`/proc/${each}/cmdline`, 'utf8').catch(() => '')))
}

describe('the search itself', () => {
  it('finds a secret in every form', () => {
    for (const secret of found.values()) {
      const shapes = [
        `x${secret}y`,
        JSON.stringify({ secret }),
        ...[0, 1, 2, 3].map((padding) => Buffer.from(`${'a'.repeat(padding)}${secret}bc`).toString('base64')),
        Buffer.from(`Bearer ${secret}`).toString('base64url'),
        Buffer.from(secret).toString('hex'),
        encodeURIComponent(secret),
      ]
      for (const shape of shapes) expect(leaksIn(shape), shape).not.toEqual([])
    }
  })

  it('looked where there was something to see', () => {
    expect(desk.api.to('/echo').length).toBeGreaterThan(5)
    expect(desk.api.to('/held/echo')).toHaveLength(5)
    expect(desk.api.to('/echo').map(({ headers }) => headers.authorization)).toContain(`Bearer ${SECRETS.bearer}`)
    expect(received.length).toBeGreaterThan(50)
    expect(browserState).toHaveLength(9)
    if (LINUX) expect(processArguments.join()).toMatch(/start\.ts.*postgres/s)
    expect(desk.vault.logs()).toContain('"level":"debug"')
  })
})

describe('no secret is left', () => {
  it('in the log', () => expect(leaksIn(desk.vault.logs())).toEqual([]))

  it('in what callers received, though the provider gave it back', () => {
    for (const text of received) expect(leaksIn(opened(text)), opened(text).slice(0, 2_000)).toEqual([])
  })

  it.skipIf(!LINUX)('in the arguments of any process', () => {
    for (const line of processArguments) expect(leaksIn(line), line).toEqual([])
  })

  it('in the browser', () => {
    for (const text of browserState) expect(leaksIn(text), text.slice(0, 2_000)).toEqual([])
  })

  it('in the audit trail as it is read and exported', async () => {
    const rows = await desk.operator.auditEvents()
    expect(rows.length).toBeGreaterThan(50)
    for (const row of rows) {
      expect(leaksIn(JSON.stringify(row)), JSON.stringify(row)).toEqual([])
      const one = await desk.operator.ask('GET', `${desk.operator.inApp}/audit/events/${row.event_id}`)
      expect(leaksIn(one.text), one.text.slice(0, 2_000)).toEqual([])
      const body = await desk.operator.ask('GET', `${desk.operator.inApp}/audit/events/${row.event_id}/body`)
      expect(leaksIn(opened(body.text)), body.text.slice(0, 2_000)).toEqual([])
    }
  })

  it('in any column of any table', async () => {
    const leaks = await desk.vault.asOwner(async (owner) => {
      const { rows: tables } = await owner.query<{ name: string }>(
        `select quote_ident(schemaname) || '.' || quote_ident(tablename) as name from pg_tables
         where schemaname not in ('pg_catalog', 'information_schema')`,
      )
      expect(tables.length).toBeGreaterThan(20)
      const seen: string[] = []
      for (const { name } of tables) {
        const { rows } = await owner.query<Record<string, unknown>>(`select * from ${name}`)
        for (const row of rows) {
          for (const [column, value] of Object.entries(row)) {
            for (const text of readings(value))
              for (const leak of leaksIn(text)) seen.push(`${name}.${column}: ${leak}`)
          }
        }
      }
      return seen
    })
    expect(leaks).toEqual([])
  })
})

/** A column's value as text: bytes also unpacked, since what is compressed is not hidden. */
function readings(value: unknown): string[] {
  if (!Buffer.isBuffer(value)) return [typeof value === 'string' ? value : (JSON.stringify(value) ?? '')]
  const unpacked = [gunzipSync, inflateSync, brotliDecompressSync, zstdDecompressSync].flatMap((unpack) => {
    try {
      return [unpack(value).toString('latin1')]
    } catch {
      return []
    }
  })
  return [value.toString('latin1'), value.toString('hex'), ...unpacked]
}
