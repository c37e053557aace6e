/*
 * Writes the figures of the section "Structure in figures" of docs/architecture.md: how long the files are that must stay readable on one screen,
 * whether imports point one way, and which files know a kind by its name, so that another one of its kind would touch them.
 *
 *   node tools/generate-structure.ts            write the section
 *   node tools/generate-structure.ts --check    end with 1 when it is not what would be written, or when a limit is passed
 */
import { readdirSync, readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkImports, type ImportCheck } from './check-imports.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
export const ARCHITECTURE_FILE = join(ROOT, 'docs/architecture.md')
const BEGIN = '<!-- Written by tools/generate-structure.ts. Run it instead of editing. -->'
const END = '<!-- End of what is written. -->'
const SERVER = 'packages/server/src'

const MAX_LINES_OF_A_USE = 250
const MAX_LINES_OF_THE_ROOT = 180

type Source = { path: string; text: string }

/**
 * What would be added, how code knows its siblings, the files that are the sibling itself and would not change, and what it brings.
 * A line that names the addition already, such as a list with 'oauth', needs no change for it and is not meant by `knownBy`.
 */
export type Addition = { what: string; knownBy: RegExp; itself?: RegExp; brings: string }

export const ADDITIONS: readonly Addition[] = [
  {
    what: 'a grant kind, such as OAuth connections',
    knownBy: /^(?!.*'(?:oauth|connection)').*(?:'managed_secret'|\bmanaged_secret:)/m,
    itself: /\/secrets\/|\/secret-source-store\.ts$/,
    brings:
      'slices `providers/` and `connections/` (consent, token store, refresh), their contracts, a credential kind, a migration: tables with row-level security, the trigger that bumps `connection:<id>`',
  },
  {
    what: 'a kind of principal, such as end users',
    knownBy: /\bprincipalOf\(|\buserTokenRefused\(|\buser: null\b/,
    brings:
      'slices `users/` and `identity-providers/`, their contracts, an access kind with its authenticator, a migration with triggers for `principal:user:<id>` and `principal:group:<id>`',
  },
  {
    what: 'a channel for approvals',
    knownBy: /'web_push'|'channels'|'default_approval_channels'/,
    brings: 'slice `deliveries/` with an outbox, templates, a configuration section',
  },
  {
    what: 'a management endpoint',
    knownBy: /\bupdateAgent\b/,
    itself: /\/update-agent\.ts$/,
    brings: 'a use case, a store function',
  },
  {
    what: 'a root key kept elsewhere, such as a cloud key service',
    knownBy: /vault_transit/,
    itself: /\/transit-root-keys\.ts$/,
    brings: 'a `KeyWrapper`',
  },
]

/** Files of the product, without tests and generated ones. */
export function productSources(root: string = ROOT): Source[] {
  const folders = ['packages/contracts/src', SERVER, 'packages/server/migrations']
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter(
        (name) =>
          /\.(ts|sql)$/.test(name) &&
          !/\.test\.ts$|-fixture\.ts$|-for-tests\.ts$|\.generated\.ts$|(^|\/)testing\//.test(name),
      )
      .sort()
      .map((name) => ({ path: `${folder}/${name}`, text: readFileSync(join(root, folder, name), 'utf8') })),
  )
}

const linesOf = ({ text }: Source): number => text.split('\n').length - 1

/** Limits that are passed, one sentence each. */
export function findExcesses(sources: readonly Source[], imports: ImportCheck): string[] {
  const excesses: string[] = []
  for (const source of sources) {
    const limit = source.path.startsWith(`${SERVER}/uses/`)
      ? MAX_LINES_OF_A_USE
      : source.path === `${SERVER}/create-server.ts`
        ? MAX_LINES_OF_THE_ROOT
        : Number.POSITIVE_INFINITY
    if (linesOf(source) > limit)
      excesses.push(`${source.path} has ${linesOf(source)} lines; at most ${limit} are allowed.`)
  }
  for (const { rule, from, to } of imports.violations) excesses.push(`${rule}: ${from} -> ${to}`)
  return excesses
}

export function renderStructure(sources: readonly Source[], imports: ImportCheck): string {
  const uses = sources.filter(({ path }) => path.startsWith(`${SERVER}/uses/`))
  const longest = uses.reduce((a, b) => (linesOf(b) > linesOf(a) ? b : a))
  const root = sources.find(({ path }) => path === `${SERVER}/create-server.ts`)!
  const cycles = imports.violations.filter(({ rule }) => rule === 'no-circles').length
  const short = (path: string) =>
    `\`${path.replace(/^packages\/(server\/src\/|server\/|)/, '').replace('/src/', '/')}\``
  return [
    BEGIN,
    '',
    '| What | Limit | Now |',
    '|---|---|---|',
    `| lines of the longest file of a use | ${MAX_LINES_OF_A_USE} | ${linesOf(longest)} (${short(longest.path)}) |`,
    `| lines of \`create-server.ts\` | ${MAX_LINES_OF_THE_ROOT} | ${linesOf(root)} |`,
    `| cycles of imports | 0 | ${cycles} |`,
    `| imports that point the wrong way | 0 | ${imports.violations.length - cycles} |`,
    '',
    'Files that name one kind where they would have to name another, beside the files of the kind itself. A new slice also takes a line in',
    '`create-server.ts` and a word in `.dependency-cruiser.cjs`.',
    '',
    '| To add | Brings | Files that change |',
    '|---|---|---|',
    ...ADDITIONS.map(({ what, knownBy, itself, brings }) => {
      const known = sources
        .filter(({ path, text }) => knownBy.test(text) && itself?.test(path) !== true)
        .map(({ path }) => short(path))
      return `| ${what} | ${brings} | ${known.length}: ${known.join(', ')} |`
    }),
    '',
    END,
  ].join('\n')
}

if (import.meta.main) {
  const [sources, imports] = [productSources(), await checkImports()]
  const page = await readFile(ARCHITECTURE_FILE, 'utf8')
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (from < 0 || to < from) throw new Error(`${ARCHITECTURE_FILE} has no place for the figures`)
  const written = page.slice(0, from) + renderStructure(sources, imports) + page.slice(to + END.length)
  const excesses = findExcesses(sources, imports)
  for (const excess of excesses) process.stderr.write(`${excess}\n`)
  if (!process.argv.includes('--check')) await writeFile(ARCHITECTURE_FILE, written)
  else if (written !== page)
    process.stderr.write(`${ARCHITECTURE_FILE} is not up to date: run node tools/generate-structure.ts\n`)
  process.exitCode = excesses.length > 0 || (process.argv.includes('--check') && written !== page) ? 1 : 0
}
