import { createHmac } from 'node:crypto'
import { createAuditLog } from '../audit/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { silentLog } from '../kernel/log.ts'
import type { ChangeAuthor } from '../organisations/index.ts'
import { type AuditedRow, auditedRows } from './audited-rows.ts'
import { createTestDatabase, type TestDatabase } from './test-database.ts'
import { createTestKeyring } from './test-keyring.ts'

/** A clock that stands still until it is moved; it starts at the real time, which the database's clock shares. */
export type HandClock = Clock & { advance(ms: number): void }

export function createHandClock(startMs = Date.now()): HandClock {
  let passedMs = 0
  return {
    now: () => startMs + passedMs,
    monotonic: () => passedMs,
    advance(ms) {
      passedMs += ms
    },
  }
}

export type ManagementTest = AsyncDisposable &
  Pick<TestDatabase, 'db' | 'asOwner'> & {
    clock: HandClock
    audit: ReturnType<typeof createAuditLog>
    keyDigest: (plain: string) => Buffer
    owner: ChangeAuthor
    organizationId: string
    app: { appId: string; organizationId: string }
    /** Another app of the same organisation. */
    otherApp: { appId: string; organizationId: string }
    /** Replaces the organisation's settings. */
    saveOrganizationSettings(settings: object): Promise<void>
    keyring: ReturnType<typeof createTestKeyring>
    /** Every audit row of a scope, in the order of its batches. */
    auditRows(scopeId?: string): Promise<AuditedRow[]>
    events(scopeId?: string): Promise<string[]>
    /** The versions of an app's fences by subject. */
    fences(appId?: string): Promise<Record<string, number>>
  }

/** `await using test = await createManagementTest()`: a database with an organisation, its owner, two apps and an audit log. */
export async function createManagementTest(): Promise<ManagementTest> {
  const database = await createTestDatabase()
  const clock = createHandClock()
  const keyring = createTestKeyring()
  const audit = createAuditLog({ db: database.db, clock, log: silentLog, keyring })
  const [organizationId, memberId, appId, otherAppId] = [newId(), newId(), newId(), newId()]
  await database.asOwner('insert into organizations (organization_id, name, slug) values ($1, $2, $3)', [
    organizationId,
    'Acme',
    'acme',
  ])
  await database.asOwner('insert into members (organization_id, member_id, email, role) values ($1, $2, $3, $4)', [
    organizationId,
    memberId,
    'ann@acme.test',
    'owner',
  ])
  for (const [id, name] of [
    [appId, 'Shop'],
    [otherAppId, 'Desk'],
  ]) {
    await database.asOwner('insert into apps (app_id, organization_id, name, slug) values ($1, $2, $3, lower($3))', [
      id,
      organizationId,
      name,
    ])
  }
  const auditRows = (scopeId = appId) => auditedRows(database.asOwner, scopeId)
  return {
    db: database.db,
    asOwner: database.asOwner,
    clock,
    audit,
    keyring,
    keyDigest: (plain) => createHmac('sha256', 'pepper of this test').update(plain).digest(),
    owner: { kind: 'member', role: 'owner', memberId, clientIp: '203.0.113.7', userAgent: 'test' },
    organizationId,
    app: { appId, organizationId },
    otherApp: { appId: otherAppId, organizationId },
    async saveOrganizationSettings(settings) {
      await database.db.forOrganization(organizationId, (tx) =>
        tx
          .updateTable('organizations')
          .set({ settings: JSON.stringify(settings) })
          .execute(),
      )
    },
    auditRows,
    events: async (scopeId) => (await auditRows(scopeId)).map((row) => String(row.keep.event)),
    fences: async (id = appId) => {
      const rows = await database.asOwner<{ subject: string; version: number }>(
        'select subject, version::int from fences where app_id = $1',
        [id],
      )
      return Object.fromEntries(rows.map((row) => [row.subject, row.version]))
    },
    async [Symbol.asyncDispose]() {
      await audit.close()
      await database[Symbol.asyncDispose]()
    },
  }
}
