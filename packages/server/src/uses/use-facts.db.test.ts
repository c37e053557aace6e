import { expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { shareTestDatabase } from '../testing/test-database.ts'
import { createUseFacts } from './use-facts.ts'

test('a key whose app is missing from the store has no rules to be judged by', async () => {
  await using test = await shareTestDatabase()
  await expect(createUseFacts(test.db).appPolicy(newId())).rejects.toMatchObject({ code: 'app_not_found_for_key' })
})
