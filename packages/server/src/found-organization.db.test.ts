import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createServer } from './create-server.ts'
import { foundOrganizationOffline } from './found-organization.ts'
import { systemClock } from './kernel/clock.ts'
import { silentLog } from './kernel/log.ts'
import { createTestDatabase } from './testing/test-database.ts'
import { testConfig } from './testing/test-server.ts'

test('an organization that is made without a server has an owner whose token a server takes, and is made once', async () => {
  await using opened = new AsyncDisposableStack()
  const database = opened.use(await createTestDatabase())
  const folder = await mkdtemp(join(tmpdir(), 'alter-vault-found-'))
  opened.defer(() => rm(folder, { recursive: true }))
  const config = testConfig(folder, database)
  const process = { log: silentLog, clock: systemClock, version: '0.0.0-test' }
  const acme = { name: 'Acme', ownerEmail: 'ann@acme.test' }
  const { organizationId, token } = await foundOrganizationOffline(config, acme, process)
  await expect(foundOrganizationOffline(config, acme, process)).rejects.toMatchObject({ code: 'conflict' })

  const server = await createServer(config, process)
  opened.defer(() => server.close())
  const response = await fetch(`${server.address}/api/v1/organizations`, {
    headers: { authorization: `Bearer ${token.reveal()}` },
  })
  expect(await response.json()).toMatchObject({ items: [{ id: organizationId, name: 'Acme' }] })
})
