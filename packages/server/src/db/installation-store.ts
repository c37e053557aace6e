import { newId } from '../kernel/ids.ts'
import type { Database, Tx } from './database.ts'

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
 * Remembers which root keys this database belongs to, and says when it was written with others: keys that were lost and made anew
 * would make every credential unreadable without a word.
 */
export async function rememberRootKeys(tx: Tx, fingerprints: readonly string[]): Promise<'same' | 'replaced'> {
  const known = await tx.selectFrom('root_key_fingerprints').select('fingerprint').execute()
  const isKnown = known.length === 0 || known.some((row) => fingerprints.includes(row.fingerprint))
  if (!isKnown) return 'replaced'
  await tx
    .insertInto('root_key_fingerprints')
    .values(fingerprints.map((fingerprint) => ({ fingerprint })))
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  return 'same'
}

/** Forgets nonces whose signatures have all lapsed, by the clock of the database. Called at least every five minutes. */
export async function forgetNonces(tx: Tx): Promise<void> {
  await tx.selectNoFrom((build) => build.fn('forget_nonces').as('forgotten')).execute()
}

type KeyName = { appId: string; dataKeyId: string }

/** Where the wrapped keys of the installation are kept, and what a rotation of root keys needs of them. */
export function createInstallationKeyStore(db: Pick<Database, 'unscoped'>, installationId: string) {
  const findWrapped = (name: string): Promise<Buffer | undefined> =>
    db.unscoped(async (tx) => {
      const row = await tx.selectFrom('installation_keys').select('wrapped').where('name', '=', name).executeTakeFirst()
      return row?.wrapped
    })

  return {
    findWrapped,

    async createWrapped(name: string, wrapped: Buffer): Promise<Buffer> {
      await db.unscoped((tx) =>
        tx
          .insertInto('installation_keys')
          .values({ name, wrapped })
          .onConflict((conflict) => conflict.doNothing())
          .execute(),
      )
      return (await findWrapped(name))!
    },

    replaceWrapped: ({ dataKeyId }: KeyName, previous: Buffer, next: Buffer): Promise<boolean> =>
      db.unscoped(async (tx) => {
        const changed = await tx
          .updateTable('installation_keys')
          .set({ wrapped: next })
          .where('name', '=', dataKeyId)
          .where('wrapped', '=', previous)
          .executeTakeFirst()
        return changed.numUpdatedRows === 1n
      }),

    /** All of them, as data keys of the installation, in one page. */
    listDataKeys: async (after: KeyName | undefined): Promise<(KeyName & { wrapped: Buffer })[]> => {
      if (after !== undefined) return []
      const rows = await db.unscoped((tx) => tx.selectFrom('installation_keys').selectAll().execute())
      return rows.map(({ name, wrapped }) => ({ appId: installationId, dataKeyId: name, wrapped }))
    },
  }
}
