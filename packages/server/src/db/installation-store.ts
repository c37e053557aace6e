import { newId } from '../kernel/ids.ts'
import type { Tx } from './database.ts'

/** The id of this installation, made by whichever server comes first. */
export async function ensureInstallation(tx: Tx): Promise<string> {
  await tx
    .insertInto('installation')
    .values({ installation_id: newId() })
    .onConflict((conflict) => conflict.column('singleton').doNothing())
    .execute()
  const row = await tx.selectFrom('installation').select('installation_id').executeTakeFirstOrThrow()
  return row.installation_id
}

/**
 * Remembers which files of keys this database belongs to, and says which one has been replaced since: a lost file that is silently
 * made anew would make every credential or key unreadable without a word.
 */
export async function rememberKeyFile(
  tx: Tx,
  name: 'root_key' | 'pepper',
  fingerprints: readonly string[],
): Promise<'same' | 'replaced'> {
  const known = await tx.selectFrom('key_file_fingerprints').select('fingerprint').where('name', '=', name).execute()
  const isKnown = known.length === 0 || known.some((row) => fingerprints.includes(row.fingerprint))
  if (!isKnown) return 'replaced'
  await tx
    .insertInto('key_file_fingerprints')
    .values(fingerprints.map((fingerprint) => ({ name, fingerprint })))
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  return 'same'
}

/** Forgets nonces whose signatures have all lapsed. Called at least every five minutes. */
export async function forgetNonces(tx: Tx, nowSeconds: number): Promise<void> {
  await tx.selectNoFrom((build) => build.fn('forget_nonces', [build.val(nowSeconds)]).as('forgotten')).execute()
}

/** The wrapped key of approval links: the stored one, else `made` becomes it. */
export async function ensureWrappedLinkKey(tx: Tx, made: Buffer): Promise<Buffer> {
  await tx.updateTable('installation').set({ wrapped_link_key: made }).where('wrapped_link_key', 'is', null).execute()
  const row = await tx.selectFrom('installation').select('wrapped_link_key').executeTakeFirstOrThrow()
  return row.wrapped_link_key!
}
