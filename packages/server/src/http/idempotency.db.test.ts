import { sql } from 'kysely'
import { describe, expect, it } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { shareTestDatabase } from '../testing/test-database.ts'
import { createIdempotency, type IdempotentCall } from './idempotency.ts'

async function setUp() {
  const test = await shareTestDatabase()
  const scopeId = newId()
  let waits = 0
  const idempotency = createIdempotency({
    db: test.db,
    wait: async () => {
      waits++
    },
  })
  const call = (changes: Partial<IdempotentCall> = {}): IdempotentCall => ({
    scopeId,
    operation: 'create_key:member-1',
    key: 'k-1',
    target: '/api/v1/apps/x/keys',
    rawBody: Buffer.from('{"name":"ci"}'),
    ...changes,
  })
  let runs = 0
  const run = async () => {
    runs++
    return { status: 201, body: { id: runs, api_key: 'alter_rk_…' }, remembered: { id: runs, api_key: null } }
  }
  const age = (interval: string) =>
    test.db.forApp(scopeId, (tx) =>
      sql`update idempotency_records set created_at = created_at - ${interval}::interval`.execute(tx),
    )
  return { test, idempotency, scopeId, call, run, runs: () => runs, waits: () => waits, age }
}
const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => 'accepted',
    (error: VaultError) => error.code,
  )

describe('a repeated call with the same key', () => {
  it('runs once and is answered from memory, without what is shown once', async () => {
    const { test, idempotency, call, run, runs } = await setUp()
    await using _ = test
    expect(await idempotency.once(call(), run)).toEqual({
      status: 201,
      body: { id: 1, api_key: 'alter_rk_…' },
      replayed: false,
    })
    expect(await idempotency.once(call(), run)).toEqual({ status: 201, body: { id: 1, api_key: null }, replayed: true })
    expect(runs()).toBe(1)
  })

  it('with another body or path is refused', async () => {
    const { test, idempotency, call, run, runs } = await setUp()
    await using _ = test
    await idempotency.once(call(), run)
    expect(await refusal(idempotency.once(call({ rawBody: Buffer.from('{"name":"cd"}') }), run))).toBe(
      'idempotency_key_body_mismatch',
    )
    expect(await refusal(idempotency.once(call({ target: '/api/v1/apps/y/keys' }), run))).toBe(
      'idempotency_key_body_mismatch',
    )
    expect(runs()).toBe(1)
  })

  it('means nothing to another member, endpoint or app', async () => {
    const { test, idempotency, call, run, runs } = await setUp()
    await using _ = test
    await idempotency.once(call(), run)
    await idempotency.once(call({ operation: 'create_key:member-2' }), run)
    await idempotency.once(call({ scopeId: newId() }), run)
    expect(runs()).toBe(3)
  })

  it('runs once although many come together', async () => {
    const { test, scopeId, call, run, runs } = await setUp()
    await using _ = test
    const patient = createIdempotency({ db: test.db, wait: () => new Promise((resolve) => setImmediate(resolve)) })
    const answers = await Promise.all(Array.from({ length: 8 }, () => patient.once(call({ scopeId }), run)))
    expect(runs()).toBe(1)
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1)
  })

  it('waits for the first one, up to ten seconds', async () => {
    const { test, idempotency, call, run, waits } = await setUp()
    await using _ = test
    let finish = () => {}
    let begun = () => {}
    const running = new Promise<void>((resolve) => {
      begun = resolve
    })
    const first = idempotency.once(call(), async () => {
      begun()
      await new Promise<void>((resolve) => {
        finish = resolve
      })
      return run()
    })
    await running
    expect(await refusal(idempotency.once(call(), run))).toBe('idempotency_in_progress')
    expect(waits()).toBe(50)
    finish()
    expect((await first).replayed).toBe(false)
  })

  it('runs again after a refusal, and only after its claim lapsed when nobody knows what happened', async () => {
    const { test, idempotency, call, run, runs, age } = await setUp()
    await using _ = test
    const refused = () => Promise.reject(new VaultError('key_limit_reached'))
    expect(await refusal(idempotency.once(call(), refused))).toBe('key_limit_reached')
    expect((await idempotency.once(call(), run)).replayed).toBe(false)

    const other = call({ key: 'k-2' })
    await expect(idempotency.once(other, () => Promise.reject(new Error('connection lost')))).rejects.toThrow(
      'connection lost',
    )
    expect(await refusal(idempotency.once(other, run))).toBe('idempotency_in_progress')
    await age('3 minutes')
    expect((await idempotency.once(other, run)).replayed).toBe(false)
    expect(runs()).toBe(2)
  })

  it('is new after a day, and is forgotten then', async () => {
    const { test, idempotency, scopeId, call, run, runs, age } = await setUp()
    await using _ = test
    await idempotency.once(call(), run)
    expect(await idempotency.forget(scopeId)).toBe(0)
    await age('25 hours')
    await idempotency.once(call({ rawBody: Buffer.from('{}') }), run)
    expect(runs()).toBe(2)
    await age('25 hours')
    expect(await idempotency.forget(scopeId)).toBe(1)
  })
})
