import type { Database } from './database.ts'

type Stored = { dataKeyId: string; wrapped: Buffer; createdAtMs: number }
type Named = { appId: string; dataKeyId: string }

const PAGE = 200

/** Where wrapped data keys are kept; the keyring and the rotation of root keys work on it. */
export function createDataKeyStore(db: Pick<Database, 'forApp' | 'unscoped'>) {
  return {
    loadDataKeys: (appId: string): Promise<Stored[]> =>
      db.forApp(appId, async (tx) => {
        const rows = await tx.selectFrom('data_keys').selectAll().where('app_id', '=', appId).execute()
        return rows.map(toStored)
      }),

    createDataKey: (appId: string, { dataKeyId, wrapped }: { dataKeyId: string; wrapped: Buffer }): Promise<Stored> =>
      db.forApp(appId, async (tx) =>
        toStored(
          await tx
            .insertInto('data_keys')
            .values({ app_id: appId, data_key_id: dataKeyId, wrapped })
            .returningAll()
            .executeTakeFirstOrThrow(),
        ),
      ),

    /** The next page of all apps' data keys; the list of apps needs no scope, each app's keys are read in its own. */
    async listDataKeys(after: Named | undefined): Promise<(Named & { wrapped: Buffer })[]> {
      let appId = after?.appId
      if (after !== undefined) {
        const rest = await page(after.appId, after.dataKeyId)
        if (rest.length > 0) return rest
      }
      for (;;) {
        appId = await nextApp(appId)
        if (appId === undefined) return []
        const first = await page(appId, undefined)
        if (first.length > 0) return first
      }
    },

    replaceWrapped: ({ appId, dataKeyId }: Named, previous: Buffer, next: Buffer): Promise<boolean> =>
      db.forApp(appId, async (tx) => {
        const changed = await tx
          .updateTable('data_keys')
          .set({ wrapped: next })
          .where('app_id', '=', appId)
          .where('data_key_id', '=', dataKeyId)
          .where('wrapped', '=', previous)
          .executeTakeFirst()
        return changed.numUpdatedRows === 1n
      }),
  }

  /** Every app has a scope of the audit log, so this list holds every app. */
  function nextApp(after: string | undefined): Promise<string | undefined> {
    return db.unscoped(async (tx) => {
      let query = tx.selectFrom('audit_scopes').select('scope_id').orderBy('scope_id').limit(1)
      if (after !== undefined) query = query.where('scope_id', '>', after)
      return (await query.executeTakeFirst())?.scope_id
    })
  }

  function page(appId: string, after: string | undefined): Promise<(Named & { wrapped: Buffer })[]> {
    return db.forApp(appId, async (tx) => {
      let query = tx.selectFrom('data_keys').select(['data_key_id', 'wrapped']).where('app_id', '=', appId)
      if (after !== undefined) query = query.where('data_key_id', '>', after)
      const rows = await query.orderBy('data_key_id').limit(PAGE).execute()
      return rows.map((row) => ({ appId, dataKeyId: row.data_key_id, wrapped: row.wrapped }))
    })
  }
}

const toStored = (row: { data_key_id: string; wrapped: Buffer; created_at: Date }): Stored => ({
  dataKeyId: row.data_key_id,
  wrapped: row.wrapped,
  createdAtMs: row.created_at.getTime(),
})
