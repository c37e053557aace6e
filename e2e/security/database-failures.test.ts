import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, statfs, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readAuditLog, rowsAbout } from '../support/audit-log.ts'
import { startBreakableLink } from '../support/breakable-link.ts'
import { type SdkAnswer, signedRequest } from '../support/signed-request.ts'
import { type Postgres, startPostgres } from '../support/start-postgres.ts'
import { startVaultWithProvider, type VaultWithProvider } from '../support/vault-with-provider.ts'

const RECOVERY = { timeout: 60_000, interval: 200 }

/** A use of a credential, as a client makes it. */
function usesOf(desk: VaultWithProvider) {
  const call = (path: string): Promise<SdkAnswer> =>
    signedRequest(desk.vault.baseUrl, {
      apiKey: desk.runtimeKey,
      path: '/sdk/proxy',
      body: { grant_id: desk.grantId, method: 'POST', url: `${desk.api.url}${path}`, body: { n: 1 } },
    })
  const retrieve = (): Promise<SdkAnswer> =>
    signedRequest(desk.vault.baseUrl, {
      apiKey: desk.runtimeKey,
      path: '/sdk/token',
      body: { grant_id: desk.grantId },
    })
  const recovered = () => expect.poll(async () => (await call('/recovered')).status, RECOVERY).toBe(200)
  return { call, retrieve, recovered }
}

function expectUnavailable({ status, headers, body }: SdkAnswer): void {
  expect(status).toBe(503)
  expect(Number(headers.get('Retry-After'))).toBeGreaterThan(0)
  expect(['audit_unavailable', 'policy_unavailable', 'service_unavailable']).toContain(body.error)
}

describe('the database is away', () => {
  let postgres: Postgres
  let desk: VaultWithProvider
  let uses: ReturnType<typeof usesOf>

  beforeAll(async () => {
    postgres = await startPostgres()
    desk = await startVaultWithProvider({ env: postgres.environment() })
    uses = usesOf(desk)
  })
  afterAll(async () => {
    await desk?.[Symbol.asyncDispose]()
    await postgres?.[Symbol.asyncDispose]()
  })

  const rowsOf = async (path: string) =>
    rowsAbout(await postgres.asOwner((owner) => readAuditLog(owner, desk.appId)), `${desk.api.url}${path}`)

  it('refuses every use with 503 and Retry-After, sends nothing, and recovers by itself', async () => {
    const unused = await desk.operator.mintKey({ name: 'never used before', scopes: ['proxy:execute'] })
    expect((await uses.call('/before')).status).toBe(200)
    await postgres.stop()
    expectUnavailable(await uses.call('/away'))
    expectUnavailable(await uses.retrieve())
    const withUnknownKey = await signedRequest(desk.vault.baseUrl, {
      apiKey: unused.api_key ?? '',
      path: '/sdk/proxy',
      body: { grant_id: desk.grantId, method: 'GET', url: `${desk.api.url}/away` },
    })
    expectUnavailable(withUnknownKey)
    const change = await desk.operator.ask('POST', `${desk.operator.inApp}/grants/${desk.grantId}/revoke`, {})
    expect(change.status).toBe(503)
    const asked = (path: string) => fetch(`${desk.vault.baseUrl}${path}`).then(({ status }) => status)
    expect(await asked('/healthz')).toBe(200)
    expect(await asked('/readyz')).toBe(503)
    expect(desk.api.to('/away')).toHaveLength(0)

    await postgres.start()
    await uses.recovered()
    expect(await asked('/readyz')).toBe(200)
    expect(await rowsOf('/away')).toEqual([])
  })

  it('withholds an answer that it cannot record, and records it later', async () => {
    const held = desk.api.hold('/unrecorded')
    const answering = uses.call('/unrecorded')
    await held.arrived
    await postgres.stop()
    held.release()
    const answer = await answering
    expectUnavailable(answer)
    expect(answer.body).toMatchObject({ error: 'audit_unavailable', upstream_may_have_executed: true })
    expect(answer.text).not.toContain('status_code')

    await postgres.start()
    await uses.recovered()
    await expect
      .poll(async () => (await rowsOf('/unrecorded')).map(({ event }) => event), { timeout: 10_000 })
      .toEqual(['proxy.requested', 'proxy.executed'])
    expect(desk.api.to('/unrecorded')).toHaveLength(1)
  })

  it('ends no server when every session of the database ends at once', async () => {
    await postgres.asOwner((owner) =>
      owner.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'alter-vault'`),
    )
    await uses.recovered()
  })
})

describe('the embedded PostgreSQL is killed', () => {
  it('is started again by the server, and nothing that was answered is lost', async () => {
    await using desk = await startVaultWithProvider()
    const { call, recovered } = usesOf(desk)
    expect((await call('/answered')).status).toBe(200)
    const [pid] = (await readFile(join(desk.vault.dataDir, 'pg/postmaster.pid'), 'utf8')).split('\n')
    process.kill(Number(pid), 'SIGKILL')
    await recovered()
    const rows = await desk.vault.asOwner((owner) => readAuditLog(owner, desk.appId))
    expect(rowsAbout(rows, `${desk.api.url}/answered`).map(({ event }) => event)).toEqual([
      'proxy.requested',
      'proxy.executed',
    ])
  })
})

describe('the disk of the audit log is full', () => {
  const FULL_DISK_BYTES = 192 * 1024 * 1024
  const run = promisify(execFile)
  let disk: string | undefined
  let why = ''

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'vault-disk-'))
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${FULL_DISK_BYTES},mode=0755`, 'vault-disk', folder])
      disk = folder
    } catch (error) {
      why = String(error).split('\n')[0] ?? ''
      await rm(folder, { recursive: true })
    }
  })
  afterAll(async () => {
    if (disk === undefined) return
    await run('umount', [disk])
    await rm(disk, { recursive: true })
  })

  it('refuses uses while it is, sends none of them, and goes on when there is room', async ({ skip }) => {
    if (disk === undefined) skip(`no small disk can be mounted here: ${why}`)
    await using postgres = await startPostgres({ wal_recycle: 'off', min_wal_size: '32MB' }, join(disk ?? '', 'data'))
    await using desk = await startVaultWithProvider({ env: postgres.environment() })
    const { call, recovered } = usesOf(desk)
    expect((await call('/room')).status).toBe(200)

    const { bavail, bsize } = await statfs(disk ?? '')
    const filler = join(disk ?? '', 'filler')
    // PostgreSQL may have taken some of it since: then the disk is full a little earlier.
    await writeFile(filler, Buffer.alloc(bavail * bsize)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOSPC') throw error
    })
    let refused: SdkAnswer | undefined
    for (let n = 0; n < 3_000 && refused === undefined; n++) {
      const answer = await call(`/filling/${n}`)
      if (answer.status !== 200) refused = answer
    }
    expectUnavailable(refused as SdkAnswer)

    await unlink(filler)
    await recovered()
    const rows = await postgres.asOwner((owner) => readAuditLog(owner, desk.appId))
    for (const { path } of desk.api.requests) {
      const [intent] = rowsAbout(rows, `${desk.api.url}${path}`)
      expect(intent?.event, path).toBe('proxy.requested')
    }
  })
})

describe('the link to the database is silent', () => {
  it('refuses calls, serves them as soon as new connections pass, and ends when it is told to', async () => {
    await using postgres = await startPostgres()
    await using link = await startBreakableLink(postgres.socketFolder)
    await using desk = await startVaultWithProvider({
      env: { ...postgres.environment(link.socketFolder), ALTER_DRAIN_SECONDS: '5' },
    })
    const uses = usesOf(desk)
    expect((await uses.call('/before')).status).toBe(200)
    link.silence()
    const answers = await Promise.all([uses.call('/silent'), uses.call('/silent'), uses.retrieve()])
    for (const answer of answers) expectUnavailable(answer)
    expect(desk.api.to('/silent')).toHaveLength(0)
    const isReady = () => fetch(`${desk.vault.baseUrl}/readyz`).then(({ status }) => status)
    expect(await isReady()).toBe(503)
    link.speak()
    await uses.recovered()
    await expect.poll(isReady, RECOVERY).toBe(200)
    link.silence()
    // A silent link keeps the last rows from being written; it must not keep the process.
    expect(await desk.vault.stop()).not.toBeNull()
  })
})
