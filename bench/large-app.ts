import type { BenchApp } from './bench-app.ts'
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
