import { expect, it } from 'vitest'
import { newId } from '../kernel/ids.ts'
import type { Caller } from '../management/index.ts'
import { createManagementTest } from '../testing/management.ts'
import type { GrantFacts } from './grant-facts.ts'
import { createLastUses } from './last-uses.ts'

it('learns within a minute what another process saved, so that a grant in use never looks idle', async () => {
  await using test = await createManagementTest()
  const { appId } = test.app
  const grantId = newId()
  const [mine, theirs] = [createLastUses(test), createLastUses(test)]
  expect(await mine.lastUsedAtMs(appId, grantId)).toBeNull()
  theirs.noteUse({ appId, keyId: newId(), agentId: null } as Caller, { grantId } as GrantFacts)
  const usedAtMs = test.clock.now()
  expect(await theirs.lastUsedAtMs(appId, grantId)).toBe(usedAtMs)
  await theirs.save()
  test.clock.advance(60_000)
  expect(await mine.lastUsedAtMs(appId, grantId)).toBe(usedAtMs)
})
