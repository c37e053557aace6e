import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { anchorsIn, findBrokenLinks, linksIn, listDocuments } from './check-links.ts'

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

test('the documents of this repository are found', async () => {
  expect(await listDocuments(ROOT)).toContain('README.md')
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
