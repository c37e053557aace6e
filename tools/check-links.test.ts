import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { anchorsIn, documentsNamedIn, findBrokenLinks, linksIn, listFiles } from './check-links.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

function folder(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'alter-vault-links-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  return root
}

test('the documents and sources of this repository are found', async () => {
  expect(await listFiles(ROOT)).toEqual(expect.arrayContaining(['README.md', 'tools/check-links.ts']))
})

test('links are found in prose with their lines, and code is none', () => {
  const markdown = [
    'See [one](a.md), ![picture](b.png "title") and [`code`](c.md#part).',
    'Not `[this](x.md)`.',
    '```',
    '[nor](y.md)',
    '```',
    '[name]: <d.md>',
  ].join('\n')
  expect(linksIn(markdown)).toEqual([
    { target: 'a.md', line: 1 },
    { target: 'b.png', line: 1 },
    { target: 'c.md#part', line: 1 },
    { target: 'd.md', line: 6 },
  ])
})

test('a fence ends only with its own mark', () => {
  expect(linksIn('````md\n```\n[x](gone.md)\n```\n````\n[y](z.md)')).toEqual([{ target: 'z.md', line: 6 }])
})

test('headings become anchors as GitHub writes them', () => {
  const markdown =
    '# Run `serve`: in production\n## The same\n## The same\n```\n# not a heading\n```\n## See [that](x.md)'
  expect([...anchorsIn(markdown)]).toEqual(['run-serve-in-production', 'the-same', 'the-same-1', 'see-that'])
})

test.each([
  ['a missing file', '[a](gone.md)', 'links to "gone.md", which does not exist'],
  ['a missing heading', '[a](guide.md#gone)', '"docs/guide.md" has no such heading'],
  ['a missing heading of its own', '[a](#gone)', '"docs/page.md" has no such heading'],
  ['a file outside', '[a](../../etc/passwd)', 'leaves the repository'],
])('%s is a fault, with its place', async (_what, text, words) => {
  const root = folder({ 'docs/page.md': `# Page\n\n${text}\n`, 'docs/guide.md': '# Guide\n' })
  const faults = await findBrokenLinks(root, ['docs/page.md'])
  expect(faults).toHaveLength(1)
  expect(faults[0]).toContain('docs/page.md:3 ')
  expect(faults[0]).toContain(words)
})

test('files, folders, headings and web addresses are no faults', async () => {
  const root = folder({
    'docs/page.md':
      '# Page\n[a](guide.md#a-part) [b](../src/) [c](#page) [d](https://example.com/x) [e](mailto:a@example.com)',
    'docs/guide.md': '# Guide\n## A part\n',
    'src/index.ts': '',
  })
  expect(await findBrokenLinks(root, ['docs/page.md'])).toEqual([])
})

test('documents are found in comments of each kind of source, and neither in texts nor in addresses', () => {
  const script = [
    "const file = 'docs/none.md' // of docs/one.md",
    'const address = "https://example.com/none.md" // see https://example.com/docs/none.md',
    '/*',
    ' * As two.md#a-part says.',
    ' */',
    'const text = `// none.md`',
  ].join('\n')
  expect(documentsNamedIn('a.ts', script)).toEqual([
    { target: 'docs/one.md', line: 1 },
    { target: 'two.md#a-part', line: 4 },
  ])
  expect(documentsNamedIn('a.sql', "select '-- none.md'; -- docs/three.md")).toEqual([
    { target: 'docs/three.md', line: 1 },
  ])
  expect(documentsNamedIn('a.py', 'x = 1  # four.md\n')).toEqual([{ target: 'four.md', line: 1 }])
  expect(documentsNamedIn('a.json', '// none.md')).toEqual([])
})

test.each([
  ['a page that is gone', '// docs/gone.md', 'src/a.ts:1 names "docs/gone.md", which does not exist.'],
  ['a heading that is gone', '// docs/guide.md#gone', '"docs/guide.md" has no such heading'],
  ['a decision that is gone', '// docs/decisions/0002', 'which does not exist'],
])('%s in a comment is a fault', async (_what, comment, words) => {
  const root = folder({
    'src/a.ts': comment,
    'docs/guide.md': '# Guide\n',
    'docs/decisions/0001-first.md': '# First\n',
  })
  const faults = await findBrokenLinks(root, ['src/a.ts'])
  expect(faults).toHaveLength(1)
  expect(faults[0]).toContain(words)
})

test('a comment names a page from the root or beside it, a folder, or a decision by its number', async () => {
  const root = folder({
    'src/a.ts': '// docs/guide.md#a-part, traps.md, docs/decisions/0001, docs/decisions/, README.md',
    'src/traps.md': '# Traps\n',
    'README.md': '# Read\n',
    'docs/guide.md': '# Guide\n## A part\n',
    'docs/decisions/0001-first.md': '# First\n',
  })
  expect(await findBrokenLinks(root, ['src/a.ts'])).toEqual([])
})
