/*
 * Fails when a migration would surprise an operator: a released one changed or vanished, a new one sorts before it, two share a
 * stamp, one manages transactions by itself, or one breaks running servers without saying so.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Migration, MigrationError, readMigrations } from '../packages/server/src/db/migrate.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOLDER = 'packages/server/migrations'

/** What was shipped last: file names to contents. */
export type Release = { tag: string; files: ReadonlyMap<string, string> }

/** What a server of the version before cannot live with. */
const BREAKING: readonly (readonly [what: string, form: RegExp])[] = [
  [
    'drops a table, view, function, type or schema',
    /\bdrop\s+(table|view|materialized\s+view|function|procedure|type|schema)\b/i,
  ],
  ['drops a column', /\bdrop\s+column\b/i],
  ['renames something', /\brename\s+(to|column|constraint)\b/i],
  ['changes the type of a column', /\balter\s+column\s+\S+\s+(set\s+data\s+)?type\b/i],
  ['forbids null in a column that exists', /\balter\s+column\s+\S+\s+set\s+not\s+null\b/i],
  ['takes rights away', /\brevoke\b/i],
]

/** Each migration runs in one transaction, beside the record that it ran. */
const OWN_TRANSACTION = /(^|;)\s*(begin|start\s+transaction|commit|rollback)\s*(;|$)|\bconcurrently\b/i

/** The statements without comments, texts and bodies of functions. */
function bareStatements(sql: string): string {
  return sql.replace(/--.*$|\/\*[\s\S]*?\*\/|(\$\w*\$)[\s\S]*?\1|'(?:[^']|'')*'/gm, ' ')
}

/** Every fault, one sentence each. */
export function findFaults(migrations: readonly Migration[], release?: Release): string[] {
  const faults: string[] = []
  const stamps = Map.groupBy(migrations, ({ name }) => name.slice(0, name.indexOf('_')))
  for (const [stamp, same] of stamps) {
    if (same.length > 1) faults.push(`${same.map(({ name }) => name).join(' and ')} share the stamp ${stamp}.`)
  }
  const first = migrations[0]?.name
  for (const { name, sql, breaking } of migrations) {
    const statements = bareStatements(sql)
    if (OWN_TRANSACTION.test(statements))
      faults.push(`${name} must run inside one transaction, but begins, ends or leaves it.`)
    // Before the first migration there is no version that could break.
    if (breaking || name === first) continue
    for (const [what, form] of BREAKING) {
      if (form.test(statements)) faults.push(`${name} ${what}, so its first line must be "-- breaking: yes".`)
    }
  }
  if (release === undefined) return faults
  const byName = new Map(migrations.map((migration) => [migration.name, migration]))
  for (const [name, text] of release.files) {
    const now = byName.get(name)
    if (now === undefined) faults.push(`${name} was released in ${release.tag} and is gone.`)
    else if (now.sql !== text)
      faults.push(`${name} was released in ${release.tag} and is changed; put the change into a new migration.`)
  }
  const newest = [...release.files.keys()].sort().at(-1) ?? ''
  for (const { name } of migrations) {
    if (!release.files.has(name) && name < newest)
      faults.push(`${name} is new but sorts before ${newest} of ${release.tag}.`)
  }
  return faults
}

/** The migrations of the newest tag before this commit, or undefined before the first release. */
export async function readRelease(root: string): Promise<Release | undefined> {
  const git = async (...args: string[]) => (await promisify(execFile)('git', args, { cwd: root })).stdout
  let tag: string
  try {
    tag = (await git('describe', '--tags', '--abbrev=0')).trim()
  } catch {
    return undefined
  }
  const listed = (await git('ls-tree', '--name-only', tag, `${FOLDER}/`))
    .split('\n')
    .filter((path) => path.endsWith('.sql'))
  const files = await Promise.all(
    listed.map(async (path) => [path.slice(FOLDER.length + 1), await git('show', `${tag}:${path}`)] as const),
  )
  return { tag, files: new Map(files) }
}

if (import.meta.main) {
  const faults = await readMigrations(`${ROOT}${FOLDER}`).then(
    async (migrations) => findFaults(migrations, await readRelease(ROOT)),
    (error: unknown) => {
      if (error instanceof MigrationError) return [error.message]
      throw error
    },
  )
  for (const fault of faults) process.stdout.write(`${fault}\n`)
  process.exitCode = faults.length === 0 ? 0 : 1
}
