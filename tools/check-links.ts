/*
 * Fails when a document points to something that is not there: a relative link to a missing file or folder, or to a heading that the
 * target does not have. Web addresses are not followed.
 */
import { execFile } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** A link as it is written, and the line it is on, from 1. */
export type Link = { target: string; line: number }

/** What a fault looks like: `README.md:12 …`. */
type Fault = string

const FENCE = /^\s{0,3}(`{3,}|~{3,})/
const HEADING = /^ {0,3}#{1,6}\s+(.*?)(?:\s+#+)?\s*$/
/** `[text](target)` and `![text](target)`, with an optional title; the text may hold code and one level of brackets. */
const INLINE = /\[(?:[^\][]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g
/** `[name]: target` */
const DEFINITION = /^ {0,3}\[[^\]]+\]:\s+<?(\S+?)>?\s*$/
const ELSEWHERE = /^(?:[a-z][a-z0-9+.-]*:|\/\/)/i

/** The lines that are prose: those of fenced code are blank. */
function proseLines(markdown: string): string[] {
  let fence: string | undefined
  return markdown.split('\n').map((line) => {
    const mark = FENCE.exec(line)?.[1]
    if (fence === undefined) {
      if (mark === undefined) return line
      fence = mark
      return ''
    }
    if (mark?.startsWith(fence) && line.trim() === mark) fence = undefined
    return ''
  })
}

/** Every link of a document, in order. Code is no link. */
export function linksIn(markdown: string): Link[] {
  return proseLines(markdown).flatMap((line, index) => {
    const definition = DEFINITION.exec(line)?.[1]
    // Code goes, its length stays: a code span may hold what looks like a link, and a link's text may be code.
    const targets =
      definition === undefined
        ? [...line.replace(/`[^`]*`/g, (code) => '`'.repeat(code.length)).matchAll(INLINE)].map((match) => match[1]!)
        : [definition]
    return targets.map((target) => ({ target, line: index + 1 }))
  })
}

/** The anchors of a document's headings, spelled as GitHub does; a repeated one gets `-1`, `-2`, … */
export function anchorsIn(markdown: string): Set<string> {
  const seen = new Map<string, number>()
  const anchors = new Set<string>()
  for (const line of proseLines(markdown)) {
    const heading = HEADING.exec(line)?.[1]
    if (heading === undefined) continue
    const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '')
    const slug = text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
      .replaceAll(' ', '-')
    const before = seen.get(slug) ?? 0
    seen.set(slug, before + 1)
    anchors.add(before === 0 ? slug : `${slug}-${before}`)
  }
  return anchors
}

/** Checks documents given by their paths under `root`. Resolves with one sentence for each broken link. */
export async function findBrokenLinks(root: string, documents: readonly string[]): Promise<Fault[]> {
  const faults: Fault[] = []
  const anchors = new Map<string, Set<string>>()
  const anchorsOf = async (path: string) => {
    const known = anchors.get(path) ?? anchorsIn(await readFile(path, 'utf8'))
    anchors.set(path, known)
    return known
  }
  for (const document of documents) {
    const path = join(root, document)
    for (const { target, line } of linksIn(await readFile(path, 'utf8'))) {
      if (ELSEWHERE.test(target)) continue
      const at = `${document}:${line}`
      const [file = '', anchor] = target.split('#', 2)
      const found = file === '' ? path : resolve(dirname(path), decodeURIComponent(file))
      if (relative(root, found).startsWith('..'))
        faults.push(`${at} links to "${target}", which leaves the repository.`)
      else if (!existsSync(found)) faults.push(`${at} links to "${target}", which does not exist.`)
      else if (anchor !== undefined && statSync(found).isFile() && !(await anchorsOf(found)).has(anchor)) {
        faults.push(`${at} links to "${target}", but "${relative(root, found)}" has no such heading.`)
      }
    }
  }
  return faults
}

/** The Markdown files that git knows or would take, so that nothing installed or built is read. */
export async function listDocuments(root: string): Promise<string[]> {
  const args = ['ls-files', '--cached', '--others', '--exclude-standard', '-z', '*.md']
  const { stdout } = await promisify(execFile)('git', args, { cwd: root })
  return stdout
    .split('\0')
    .filter((name) => name !== '' && existsSync(join(root, name)))
    .sort()
}

if (import.meta.main) {
  const documents = await listDocuments(ROOT)
  const faults = await findBrokenLinks(ROOT, documents)
  for (const fault of faults) process.stderr.write(`${fault}\n`)
  if (faults.length > 0) process.exitCode = 1
  else process.stdout.write(`The links of ${documents.length} documents resolve.\n`)
}
