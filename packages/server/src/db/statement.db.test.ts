import fc from 'fast-check'
import type { PoolClient } from 'pg'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../testing/test-database.ts'
import { createStatement } from './statement.ts'

async function openSession() {
  const database = await createTestDatabase()
  const pool = database.db.openPool(1, [])
  const client: PoolClient = await pool.connect()
  return {
    client,
    async [Symbol.asyncDispose]() {
      client.release(true)
      await pool.end()
      await database[Symbol.asyncDispose]()
    },
  }
}

test('what a statement is given reaches the database as it is', async () => {
  await using session = await openSession()
  const run = createStatement(
    'given',
    "select coalesce($1::text, 'null') || ' ' || coalesce($2::bigint::text, 'null') || ' ' || coalesce(encode($3::bytea, 'hex'), 'null')",
  )
  const anyText = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0'))
  await fc.assert(
    fc.asyncProperty(
      fc.option(anyText, { nil: null }),
      fc.option(fc.maxSafeInteger(), { nil: null }),
      fc.option(fc.uint8Array({ maxLength: 5_000 }), { nil: null }),
      async (text, number, bytes) => {
        const given = bytes === null ? null : Buffer.from(bytes)
        expect(await run(session.client, [text, number, given])).toBe(
          `${text} ${number} ${given?.toString('hex') ?? null}`,
        )
      },
    ),
  )
})

test('a statement answers null for null, and for no row', async () => {
  await using session = await openSession()
  expect(await createStatement('none', 'select null::text')(session.client, [])).toBe(null)
  expect(await createStatement('no_row', 'select 1 where $1')(session.client, ['false'])).toBe(null)
})

test('after an error of the statement, of its text or of a value the session serves the next', async () => {
  await using session = await openSession()
  const divide = createStatement('divide', 'select 1 / $1::int')
  await expect(divide(session.client, [0])).rejects.toMatchObject({ code: '22012' })
  await expect(divide(session.client, ['x'])).rejects.toMatchObject({ code: '22P02' })
  await expect(divide(session.client, [])).rejects.toMatchObject({ code: '08P01' })
  await expect(createStatement('broken', 'selec 1')(session.client, [])).rejects.toMatchObject({ code: '42601' })
  expect(await divide(session.client, [1])).toBe('1')
  expect((await session.client.query('select 2 as two')).rows).toEqual([{ two: 2 }])
})

test('a session that ends under a statement, or had ended before, rejects it', async () => {
  await using session = await openSession()
  session.client.on('error', () => undefined)
  const end = createStatement('end', 'select pg_terminate_backend(pg_backend_pid())::text')
  await expect(end(session.client, [])).rejects.toThrow()
  await expect(end(session.client, [])).rejects.toThrow()
})
