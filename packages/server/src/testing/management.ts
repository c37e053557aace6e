import { createHmac } from 'node:crypto'
import { CompiledQuery } from 'kysely'
import { createAuditLog } from '../audit/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { silentLog } from '../kernel/log.ts'
import { type ChangeAuthor, tokenSession } from '../management/index.ts'
import { type AuditedRow, auditedRows } from './audited-rows.ts'
import { shareTestDatabase, type TestDatabase } from './test-database.ts'
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
    /** One statement as the server's role, to which the rows of `app` alone are there. */
    inApp<Row extends object = Record<string, unknown>>(statement: string, values?: unknown[]): Promise<Row[]>
    clock: HandClock
    audit: ReturnType<typeof createAuditLog>
    keyDigest: (plain: string) => Buffer
    owner: ChangeAuthor
    organizationId: string
    app: { appId: string; organizationId: string }
    /** Another app of the same organization. */
    otherApp: { appId: string; organizationId: string }
    /** Replaces the organization's settings. */
    saveOrganizationSettings(settings: object): Promise<void>
    keyring: ReturnType<typeof createTestKeyring>
    /** Every audit row of a scope, in the order of its batches. */
    auditRows(scopeId?: string): Promise<AuditedRow[]>
    events(scopeId?: string): Promise<string[]>
    /** The versions of an app's fences by subject. */
    fences(appId?: string): Promise<Record<string, number>>
  }

/**
 * `await using test = await createManagementTest()`: an organization with its owner, two apps and an audit log, in the database that the tests
 * of the file share, or in `database`.
 */
export async function createManagementTest(database?: TestDatabase): Promise<ManagementTest> {
  const { db, asOwner } = database ?? (await shareTestDatabase())
  const clock = createHandClock()
  const keyring = createTestKeyring()
  const audit = createAuditLog({ db, clock, log: silentLog, keyring })
  const [organizationId, memberId, appId, otherAppId] = [newId(), newId(), newId(), newId()]
  await asOwner(
    `with organization as (insert into organizations (organization_id, name, slug) values ($1::uuid, 'Acme', 'acme-' || $1::uuid)),
      member as (insert into members (organization_id, member_id, email, role) values ($1, $2, 'ann@acme.test', 'owner'))
    insert into apps (app_id, organization_id, name, slug) values ($3, $1, 'Shop', 'shop'), ($4, $1, 'Desk', 'desk')`,
    [organizationId, memberId, appId, otherAppId],
  )
  const auditRows = (scopeId = appId) => auditedRows(asOwner, scopeId)
  return {
    db,
    asOwner,
    inApp: async (statement, values = []) =>
      (await db.forApp(appId, (tx) => tx.executeQuery(CompiledQuery.raw(statement, values)))).rows as never[],
    clock,
    audit,
    keyring,
    keyDigest: (plain) => createHmac('sha256', 'pepper of this test').update(plain).digest(),
    owner: {
      kind: 'member',
      role: 'owner',
      session: tokenSession,
      memberId,
      clientIp: '203.0.113.7',
      userAgent: 'test',
    },
    organizationId,
    app: { appId, organizationId },
    otherApp: { appId: otherAppId, organizationId },
    async saveOrganizationSettings(settings) {
      await db.forOrganization(organizationId, (tx) =>
        tx
          .updateTable('organizations')
          .set({ settings: JSON.stringify(settings) })
          .where('organization_id', '=', organizationId)
          .execute(),
      )
    },
    auditRows,
    events: async (scopeId) => (await auditRows(scopeId)).map((row) => String(row.keep.event)),
    fences: async (id = appId) => {
      const rows = await asOwner<{ subject: string; version: number }>(
        'select subject, version::int from fences where app_id = $1',
        [id],
      )
      return Object.fromEntries(rows.map((row) => [row.subject, row.version]))
    },
    async [Symbol.asyncDispose]() {
      await audit.close()
      await database?.[Symbol.asyncDispose]()
    },
  }
}
