import { sql } from 'kysely'
import { describe, expect, it } from 'vitest'
import type { Tx } from '../db/database.ts'
import { newId } from '../kernel/ids.ts'
import { sha256 } from '../kernel/sha256.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { createTestDatabase } from '../testing/test-database.ts'
import { makeOnce, type Once, Repeated } from './once.ts'
import { forgetAnswers } from './once-store.ts'

async function setUp() {
  const test = await createTestDatabase()
  const scopeId = newId()
  const onceOf = (changes: Partial<Once> = {}): Once => ({
    scopeId,
    operation: 'create_key:member-1',
    key: 'k-1',
    digest: sha256('/api/v1/apps/x/keys\n{"name":"ci"}'),
    status: 201,
    kept: (body) => ({ ...(body as object), api_key: null }),
    ...changes,
  })
  let runs = 0
  const run = async () => {
    runs++
    return { zone: 'first', id: runs, api_key: 'alter_rk_…' }
  }
  /** One call: its transaction, and what becomes of it. */
  const call = (once: Once, make: (tx: Tx) => Promise<object> = run, inScope = once.scopeId) =>
    test.db
      .forApp(inScope, (tx) => makeOnce(tx, once, inScope, () => make(tx)))
      .then(
        (body) => ({ body, replayed: false }),
        (error: unknown) => {
          if (!(error instanceof Repeated)) throw error
          expect(error.status).toBe(once.status)
          return { body: error.body, replayed: true }
        },
      )
  const age = (interval: string) =>
    test.db.forApp(scopeId, (tx) =>
      sql`update idempotency_records set created_at = created_at - ${interval}::interval`.execute(tx),
    )
  const records = async () =>
    (await test.asOwner<{ key: string }>('select idempotency_key as key from idempotency_records')).map(
      ({ key }) => key,
    )
  return { test, scopeId, onceOf, call, run, runs: () => runs, age, records }
}
const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => 'accepted',
    (error: VaultError) => error.code,
  )

describe('a repeated call with the same key', () => {
  it('runs once and is answered from memory, in the same words, without what is shown once', async () => {
    const { test, call, onceOf, runs } = await setUp()
    await using _ = test
    const first = await call(onceOf())
    expect(first).toEqual({ body: { zone: 'first', id: 1, api_key: 'alter_rk_…' }, replayed: false })
    const again = await call(onceOf())
    expect(again.replayed).toBe(true)
    expect(JSON.stringify(again.body)).toBe('{"zone":"first","id":1,"api_key":null}')
    expect(runs()).toBe(1)
    expect(JSON.stringify(await test.asOwner('select * from idempotency_records'))).not.toContain('alter_rk_')
  })

  it('with another body or path is refused', async () => {
    const { test, call, onceOf, runs } = await setUp()
    await using _ = test
    await call(onceOf())
    for (const other of ['/api/v1/apps/x/keys\n{"name":"cd"}', '/api/v1/apps/y/keys\n{"name":"ci"}']) {
      expect(await refusal(call(onceOf({ digest: sha256(other) })))).toBe('idempotency_key_body_mismatch')
    }
    expect(runs()).toBe(1)
  })

  it('means nothing to another member, endpoint or app', async () => {
    const { test, call, onceOf, runs } = await setUp()
    await using _ = test
    await call(onceOf())
    await call(onceOf({ operation: 'create_key:member-2' }))
    await call(onceOf({ scopeId: newId() }))
    expect(runs()).toBe(3)
  })

  it('runs once although many come together', async () => {
    const { test, call, onceOf, runs } = await setUp()
    await using _ = test
    const answers = await Promise.all(Array.from({ length: 8 }, () => call(onceOf())))
    expect(runs()).toBe(1)
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1)
  })

  it('waits for the first one, as long as for any lock', async () => {
    const { test, scopeId, call, onceOf, run } = await setUp()
    await using _ = test
    let finish = () => {}
    let begun = () => {}
    const running = new Promise<void>((resolve) => {
      begun = resolve
    })
    const first = call(onceOf(), async () => {
      begun()
      await new Promise<void>((resolve) => {
        finish = resolve
      })
      return run()
    })
    await running
    const impatient = test.db.forApp(scopeId, async (tx) => {
      await sql`set local lock_timeout = '50ms'`.execute(tx)
      return makeOnce(tx, onceOf(), scopeId, run)
    })
    expect(await refusal(impatient)).toBe('idempotency_in_progress')
    finish()
    expect((await first).replayed).toBe(false)
  })

  it('runs again after a refusal and after a fault: the claim went with the change', async () => {
    const { test, call, onceOf, run, runs, records } = await setUp()
    await using _ = test
    const refused = () => Promise.reject(new VaultError('key_limit_reached'))
    expect(await refusal(call(onceOf(), refused))).toBe('key_limit_reached')
    const fault = () => Promise.reject(new Error('connection lost'))
    await expect(call(onceOf(), fault)).rejects.toThrow('connection lost')
    expect(await records()).toEqual([])
    expect((await call(onceOf(), run)).replayed).toBe(false)
    expect(runs()).toBe(1)
  })

  it('finds nothing of a first one whose process died between the claim and the commit', async () => {
    const { test, call, onceOf, run, records } = await setUp()
    await using _ = test
    const dying = call(onceOf(), async (tx) => {
      await sql`insert into counters (app_id, counter_id, slot, used) values (vault_app(), 'c', 0, '{1}')`.execute(tx)
      const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx)
      await test.asOwner('select pg_terminate_backend($1)', [rows[0]!.pid])
      return run()
    })
    await expect(dying).rejects.toThrow()
    expect(await records()).toEqual([])
    expect(await test.asOwner('select 1 from counters')).toEqual([])
    expect((await call(onceOf(), run)).replayed).toBe(false)
  })

  it('is new after a day, and is forgotten then', async () => {
    const { test, scopeId, call, onceOf, runs, age, records } = await setUp()
    await using _ = test
    await call(onceOf())
    await age('25 hours')
    await call(onceOf({ digest: sha256('{}') }))
    expect(runs()).toBe(2)
    await age('25 hours')
    await call(onceOf({ key: 'k-2' }))
    await test.db.forApp(scopeId, (tx) => forgetAnswers(tx, scopeId))
    expect(await records()).toEqual(['k-2'])
  })

  it('counts in its own scope when the change makes a scope of its own', async () => {
    const { test, scopeId, call, onceOf } = await setUp()
    await using _ = test
    const made = await call(onceOf(), async () => ({ id: 1 }), newId())
    expect(made.replayed).toBe(false)
    expect(await call(onceOf(), undefined, newId())).toEqual({ body: { id: 1, api_key: null }, replayed: true })
    expect(await test.asOwner('select scope_id from idempotency_records')).toEqual([{ scope_id: scopeId }])
  })
})
