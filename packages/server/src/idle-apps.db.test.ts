import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CompiledQuery } from 'kysely'
import { Client } from 'pg'
import { expect, test, vi } from 'vitest'
import { createServer } from './create-server.ts'
import { forgetAnswers } from './http/once-store.ts'
import { systemClock } from './kernel/clock.ts'
import { newId } from './kernel/ids.ts'
import type { JobRun } from './kernel/jobs.ts'
import { silentLog } from './kernel/log.ts'
import { createTestDatabase, type TestDatabase } from './testing/test-database.ts'
import { testConfig } from './testing/test-server.ts'

type Statement = { text: string; values: unknown[] }
type Work = { statements: number; pages: number }

/** Apps that had traffic, whose log is in order and signed, and in which something is due later. */
async function addIdleApps({ asOwner }: TestDatabase, from: number, to: number): Promise<void> {
  await asOwner(
    `with made as (select uuidv7() as id, n from generate_series($1::int, $2::int) n),
      organization as (insert into organizations (organization_id, name, slug) select id, n, n from made),
      app as (insert into apps (app_id, organization_id, name, slug) select id, id, n, n from made),
      used as (insert into last_uses (app_id, subject, used_at) select id, 'key:' || id, now() from made),
      scope as (
        insert into audit_scopes (scope_id, app_id, sequence, last_row, signed_row, head) select id, id, 5, 50, 50, '' from made
      ),
      due as (
        insert into due_work (kind, app_id, subject_id, due_at)
        select kind, id, id, now() + interval '10 minutes' from made, unnest(array[
          'audit_intent', 'approval_expiry', 'approval_execution', 'approval_result_erasure', 'approval_withdrawal.app'
        ]) kind
      )
    insert into audit_batches (scope_id, batch_id, count, digest, rows) select id, uuidv7(), 10, '', '' from made, generate_series(1, 5)`,
    [from, to],
  )
  // As a batch gets its place: its entry among those that wait stays in the index until that is vacuumed, as it is within the hour.
  await asOwner(
    `update audit_batches b set sequence = p.sequence, first_row = p.sequence * 10 - 9, head = ''
    from (select batch_id, row_number() over (partition by scope_id order by batch_id) as sequence from audit_batches where sequence is null) p
    where b.batch_id = p.batch_id`,
  )
  await asOwner('vacuum audit_batches')
}

/** The pages that PostgreSQL reads for statements, one after the other, without those of its catalog. Nothing of what they do stays. */
async function pagesOf({ db }: TestDatabase, statements: readonly Statement[]): Promise<number> {
  let pages = 0
  const undone = new Error('undone')
  await db
    .unscoped(async (tx) => {
      for (const { text, values } of statements) {
        const explain = CompiledQuery.raw(`explain (analyze, buffers, format json) ${text}`, values)
        // The first time a session reads the catalog as well.
        await tx.executeQuery(explain)
        const { rows } = await tx.executeQuery<{ 'QUERY PLAN': { Plan: Record<string, number> }[] }>(explain)
        const { Plan: plan } = rows[0]!['QUERY PLAN'][0]!
        pages += plan['Shared Hit Blocks']! + plan['Shared Read Blocks']!
      }
      throw undone
    })
    .catch((error: unknown) => {
      if (error !== undone) throw error
    })
  return pages
}

/** What `run` asks of the database. */
async function workOf(database: TestDatabase, run: () => Promise<unknown>): Promise<Work> {
  const query = vi.spyOn(Client.prototype, 'query')
  try {
    await run()
    const statements = query.mock.calls.map(
      ([text, values]): Statement => ({ text: String(text), values: (values ?? []) as unknown[] }),
    )
    query.mockRestore()
    const explained = statements.filter(({ text }) => /^\s*(select|insert|update|delete|with)\b/i.test(text))
    return { statements: statements.length, pages: await pagesOf(database, explained) }
  } finally {
    query.mockRestore()
  }
}

test('no work that repeats every minute or more often grows with apps in which nothing is due', async () => {
  await using opened = new AsyncDisposableStack()
  const dataDir = await mkdtemp(join(tmpdir(), 'alter-vault-idle-'))
  opened.defer(() => rm(dataDir, { recursive: true, force: true }))
  const database = opened.use(await createTestDatabase())
  const jobs = new Map<string, JobRun>()
  const server = await createServer(testConfig(dataDir, database), {
    log: silentLog,
    clock: systemClock,
    version: '0.0.0-test',
    jobs: {
      every: (name, everyMs, run) => void (everyMs <= 60_000 && jobs.set(name, run)),
      close: async () => undefined,
    },
  })
  opened.defer(() => server.close())

  const workOfAll = async () => {
    const all: Record<string, Work> = {}
    for (const [name, job] of jobs) {
      const run = () => job(new AbortController().signal)
      // What the start left to do is done first.
      await run()
      all[name] = await workOf(database, run)
    }
    return all
  }

  await addIdleApps(database, 1, 10)
  const few = await workOfAll()
  await addIdleApps(database, 11, 2_000)
  const many = await workOfAll()
  expect(Object.keys(many)).toContain('audit sequence')
  for (const [name, { statements, pages }] of Object.entries(many)) {
    expect(statements, name).toBe(few[name]!.statements)
    // The tables have hundreds.
    expect(pages, name).toBeLessThan(20)
  }
})

test('answers are forgotten by their age, and those that are younger are not read', async () => {
  await using database = await createTestDatabase()
  const scopeId = newId()
  await database.asOwner(
    `insert into idempotency_records (scope_id, operation, idempotency_key, body_digest)
     select $1, 'POST /apps', n::text, '' from generate_series(1, 10000) n`,
    [scopeId],
  )
  const { pages } = await workOf(database, () => database.db.forScope(scopeId, (tx) => forgetAnswers(tx, scopeId)))
  expect(pages).toBeLessThan(20)
})
