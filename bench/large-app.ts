import type { BenchApp } from './bench-app.ts'
import { copyRows } from './copy-rows.ts'
import type { MeasuredVault } from './measured-vault.ts'

/**
 * Gives an app many more grants and keys than the ones that are used, by SQL, with the versions that triggers would have made: minting
 * them one by one would take longer than everything else that is measured.
 */
export async function growApp(
  vault: Pick<MeasuredVault, 'asOwner'>,
  app: BenchApp,
  { grants, keys }: { grants: number; keys: number },
): Promise<void> {
  await vault.asOwner(async (owner) => {
    await owner.query('begin')
    // No triggers: each would bump a version and take the app's lock.
    await owner.query('set local session_replication_role = replica')
    await owner.query(
      `with made as (
         insert into grants (app_id, grant_id, principal_type, provider_id, source_id, credential_id, label, created_by)
         select app_id, gen_random_uuid(), principal_type, provider_id, source_id, credential_id, 'filler-' || n, created_by
         from grants, generate_series(1, $3::int) n where app_id = $1 and grant_id = $2
         returning app_id, grant_id
       )
       insert into fences (app_id, subject, version) select app_id, 'grant:' || grant_id, 1 from made`,
      [app.appId, app.grantIds[0], grants],
    )
    await owner.query(
      `with made as (
         insert into keys (app_id, key_id, name, key_prefix, key_type, digest, scopes, created_by)
         select app_id, gen_random_uuid(), 'Filler ' || n, key_prefix, key_type, sha256(('filler ' || n || app_id)::bytea), scopes, created_by
         from keys, generate_series(1, $3::int) n where app_id = $1 and key_id = $2
         returning app_id, key_id, digest
       ), routed as (
         insert into key_routes (digest, app_id, key_id) select digest, app_id, key_id from made
       )
       insert into fences (app_id, subject, version) select app_id, 'key:' || key_id, 1 from made`,
      [app.appId, app.keyIds[0], keys],
    )
    await owner.query('commit')
    await owner.query('analyze')
  })
}

/** Gives an app's log at least so many rows more, all searchable and signed, by repeating what is there. The hashes of the repeated do not verify. */
export async function growLog(vault: Pick<MeasuredVault, 'asOwner'>, { appId }: BenchApp, rows: number): Promise<void> {
  await vault.asOwner(async (owner) => {
    await owner.query('begin')
    await owner.query('set local session_replication_role = replica')
    // The lock keeps the sequencer away meanwhile.
    const { rows: found } = await owner.query<{ sequence: number; last_row: number }>(
      'select sequence::float8, last_row::float8 from audit_scopes where scope_id = $1 for update',
      [appId],
    )
    const { sequence, last_row } = found[0]!
    const times = Math.ceil(rows / last_row)
    await owner.query('create temp table copies (n integer, source uuid, id uuid) on commit drop')
    await owner.query(
      `insert into copies select n, batch_id, uuidv7() from generate_series(1, $2::int) n, audit_batches
       where scope_id = $1 and sequence <= $3 order by n, sequence`,
      [appId, times, sequence],
    )
    const from = 'join copies c on c.source = t.batch_id where t.scope_id = $1'
    const place = { sequence: `t.sequence + c.n * ${sequence}`, first_row: `t.first_row + c.n * ${last_row}` }
    await copyRows(owner, 'audit_batches', from, { batch_id: 'c.id', ...place }, [appId])
    await copyRows(
      owner,
      'audit_events',
      from,
      {
        batch_id: 'c.id',
        row_no: `t.row_no + c.n * ${last_row}`,
        event_id: 'uuidv7()',
        trace_id: 'md5(t.trace_id || c.n)',
      },
      [appId],
    )
    await owner.query(
      `update audit_scopes set sequence = sequence * $2, last_row = last_row * $2, signed_row = last_row * $2, unsigned_since = null
       where scope_id = $1`,
      [appId, times + 1],
    )
    await owner.query('commit')
    // What so many writes leave to do is done before anything is measured.
    await owner.query('vacuum analyze')
    await owner.query('checkpoint')
  })
}
