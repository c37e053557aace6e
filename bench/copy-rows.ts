import type { Client } from 'pg'

/**
 * Inserts changed copies of a table's own rows, which `from` selects: it follows the table under the name `t`. `set` says which columns get which
 * expression; all others are as in `t`, so a new column needs no change here.
 */
export async function copyRows(
  owner: Client,
  table: string,
  from: string,
  set: Readonly<Record<string, string>>,
  values: readonly unknown[] = [],
): Promise<void> {
  const { rows } = await owner.query<{ name: string }>(
    'select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped',
    [table],
  )
  const names = rows.map(({ name }) => name)
  const unknown = Object.keys(set).find((name) => !names.includes(name))
  if (unknown !== undefined) throw new Error(`${table} has no column ${unknown}`)
  const expressions = names.map((name) => set[name] ?? `t.${name}`)
  await owner.query(`insert into ${table} (${names}) select ${expressions} from ${table} t ${from}`, [...values])
}
