import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../testing/test-database.ts'

test('works as the server role in a database of its own', async () => {
  await using test = await createTestDatabase()
  const { rows } = await test.db.unscoped((tx) =>
    sql<{ role: string; big: number }>`select current_user as role, 5::bigint as big`.execute(tx),
  )
  expect(rows).toEqual([{ role: 'alter_vault_server', big: 5 }])
})
