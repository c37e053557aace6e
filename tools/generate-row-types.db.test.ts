import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { createDatabase } from '../packages/server/src/db/database.ts'
import { createTestDatabase, type TestDatabase } from '../packages/server/src/testing/test-database.ts'
import { type Column, ROW_TYPES_FILE, readAllowedTexts, readColumns, renderRowTypes } from './generate-row-types.ts'

const column = (changes: Partial<Column>): Column => ({
  table: 'things',
  name: 'thing',
  type: 'text',
  nullable: false,
  defaulted: false,
  allowed: undefined,
  ...changes,
})

async function columnsOf({ ownerConnection }: TestDatabase): Promise<Column[]> {
  const db = createDatabase({ connection: ownerConnection, log: { warn: () => undefined } })
  const columns = await readColumns(db.openPool)
  await db.close()
  return columns
}

/** The line of the column in the generated text. */
const typeOf = (changes: Partial<Column>) => /^ {4}thing: (.*)$/m.exec(renderRowTypes([column(changes)]))?.[1]

test('the committed row types are those of the migrated database', async () => {
  await using database = await createTestDatabase()
  const columns = await columnsOf(database)
  expect(renderRowTypes(columns)).toBe(await readFile(ROW_TYPES_FILE, 'utf8'))
})

test('reads nullability, defaults, identities, allowed texts and leaves partitions out', async () => {
  await using database = await createTestDatabase()
  await database.asOwner(`create table oddities (
    id bigint generated always as identity primary key,
    state text check (state in ('open', 'it''s shut')),
    free text check (free <> ''),
    since date default now()
  ) partition by range (id)`)
  await database.asOwner('create table oddities_1 partition of oddities for values from (1) to (2)')
  const columns = (await columnsOf(database)).filter(({ table }) => table.startsWith('oddities'))
  expect(columns).toEqual([
    column({ table: 'oddities', name: 'id', type: 'int8', defaulted: true }),
    column({ table: 'oddities', name: 'state', nullable: true, allowed: ['open', "it's shut"] }),
    column({ table: 'oddities', name: 'free', nullable: true }),
    column({ table: 'oddities', name: 'since', type: 'date', nullable: true, defaulted: true }),
  ])
})

test('writes each kind of column as the driver reads it', () => {
  expect(typeOf({})).toBe('string')
  expect(typeOf({ type: 'int8', nullable: true })).toBe('number | null')
  expect(typeOf({ type: '_uuid' })).toBe('string[]')
  expect(typeOf({ type: 'jsonb', nullable: true })).toBe('JsonOrNull')
  expect(typeOf({ type: 'timestamptz', defaulted: true })).toBe('Defaulted<Timestamp>')
  expect(typeOf({ allowed: ['open', "it's shut"], nullable: true })).toBe("'open' | 'it\\'s shut' | null")
})

test('refuses a type that it does not know instead of guessing', () => {
  expect(() => typeOf({ type: 'point' })).toThrow(/things\.thing of type point/)
  expect(() => typeOf({ type: '_jsonb' })).toThrow(/things\.thing of type _jsonb/)
})

test('takes a check that is not a list of texts for no list', () => {
  expect(readAllowedTexts("CHECK ((name <> ''::text))")).toBeUndefined()
})
