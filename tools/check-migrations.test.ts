import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Migration } from '../packages/server/src/db/migrate.ts'
import { findFaults, readRelease } from './check-migrations.ts'

const migration = (name: string, sql: string, breaking = false): Migration => ({ name, sql, breaking, checksum: '' })
const base = migration('20260101T0000_base.sql', 'create table a (id int);')

test('an additive migration after the released ones is fine', () => {
  const added = migration(
    '20260102T0000_more.sql',
    "alter table a add column b int; -- it's no drop table a\ncomment on table a is 'drop table a';",
  )
  expect(findFaults([base, added], { tag: 'v1', files: new Map([[base.name, base.sql]]) })).toEqual([])
})

test.each([
  ['drop table a;', 'drops a table'],
  ['alter table a drop column id;', 'drops a column'],
  ['alter table a rename column id to key;', 'renames something'],
  ['alter table a alter column id type bigint;', 'changes the type of a column'],
  ['alter table a alter column id set not null;', 'forbids null'],
  ['revoke select on a from alter_vault_server;', 'takes rights away'],
])('"%s" must say that it breaks', (sql, what) => {
  const quiet = migration('20260102T0000_more.sql', sql)
  expect(findFaults([base, quiet])).toEqual([expect.stringContaining(what)])
  expect(findFaults([base, { ...quiet, breaking: true }])).toEqual([])
})

test('what a function does when it is called does not break at once', () => {
  const body = migration(
    '20260102T0000_more.sql',
    'create function f() returns void language sql as $$ drop table a $$;',
  )
  expect(findFaults([base, body])).toEqual([])
})

test.each(['begin;\ncreate table b ();', 'create table b (); commit', 'create index concurrently i on a (id);'])(
  '"%s" would leave its transaction',
  (sql) => {
    expect(findFaults([base, migration('20260102T0000_more.sql', sql)])).toEqual([
      expect.stringContaining('must run inside one transaction'),
    ])
  },
)

test('two of the same minute have no order', () => {
  expect(findFaults([base, migration('20260101T0000_other.sql', '')])).toEqual([
    expect.stringContaining('share the stamp'),
  ])
})

test('a released migration stays as it is, and new ones come after it', () => {
  const release = {
    tag: 'v1',
    files: new Map([
      [base.name, base.sql],
      ['20260103T0000_gone.sql', ''],
    ]),
  }
  const late = migration('20260102T0000_late.sql', '')
  expect(findFaults([{ ...base, sql: 'create table b ();' }, late], release)).toEqual([
    expect.stringContaining('20260101T0000_base.sql was released in v1 and is changed'),
    expect.stringContaining('20260103T0000_gone.sql was released in v1 and is gone'),
    expect.stringContaining('20260102T0000_late.sql is new but sorts before 20260103T0000_gone.sql'),
  ])
})

test('the last release is read from its tag', async () => {
  const root = mkdtempSync(join(tmpdir(), 'alter-vault-release-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@localhost', ...args], { cwd: root })
  git('init', '--quiet')
  const folder = join(root, 'packages/server/migrations')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, base.name), base.sql)
  git('add', '.')
  git('commit', '--quiet', '-m', 'first')
  expect(await readRelease(root)).toBeUndefined()
  git('tag', 'v1.0.0')
  writeFileSync(join(folder, base.name), 'changed')
  expect(await readRelease(root)).toEqual({ tag: 'v1.0.0', files: new Map([[base.name, base.sql]]) })
})
