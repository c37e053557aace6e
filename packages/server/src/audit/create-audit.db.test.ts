import { expect, test } from 'vitest'
import { silentLog } from '../kernel/log.ts'
import { createAuditReadsTest } from './audit-reads-fixture.ts'
import { createAudit, PACE } from './create-audit.ts'

test('the log is ready while the store answers appends, whatever else it answers', async () => {
  await using t = await createAuditReadsTest()
  const { db, keyring, signingKeys, clock } = t
  const deps = { db, keyring, signingKeys, clock, log: silentLog, pace: PACE, installationId: t.app.organizationId }
  const audit = createAudit(deps)
  const check = audit.ready[0]!.check
  expect(await check()).toBe(true)
  const allow = (verb: string) =>
    t.asOwner(`do $$ begin execute (
      select format('${verb} execute on function %s ${verb === 'grant' ? 'to' : 'from'} alter_vault_server, public', oid::regprocedure)
      from pg_proc where proname = 'append_batch'); end $$`)
  await allow('revoke')
  // An append was answered a moment ago.
  expect(await check()).toBe(true)
  clock.advance(5_000)
  await expect(check()).rejects.toMatchObject({ code: 'audit_unavailable' })
  await allow('grant')
  expect(await check()).toBe(true)
  await audit.close()
})
