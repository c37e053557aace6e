/*
 * Fails when a document points to something that is not there: a relative link to a missing file or folder, or to a heading that the
 * target does not have. The same holds for documents that a comment in source names. Web addresses are not followed.
 */
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname, extname, join, relative, resolve } from 'node:path'
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

/** Comments by the ending of the file. What is in quotes comes first, so that `//` in an address begins none. */
const QUOTED = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/
const SLASHES = new RegExp(`${QUOTED.source}|\`(?:\\\\.|[^\`\\\\])*\`|(/\\*[\\s\\S]*?\\*/|//[^\\n]*)`, 'g')
const DASHES = new RegExp(`${QUOTED.source}|(--[^\\n]*)`, 'g')
const HASHES = new RegExp(`${QUOTED.source}|(#[^\\n]*)`, 'g')
const COMMENTS: Readonly<Record<string, RegExp>> = {
  ...Object.fromEntries(['.ts', '.tsx', '.mjs', '.cjs', '.css'].map((ending) => [ending, SLASHES])),
  '.sql': DASHES,
  ...Object.fromEntries(['.py', '.yaml', '.yml', '.toml', '.sh'].map((ending) => [ending, HASHES])),
}
/** `docs/spec/approvals.md#execution`, `README.md`, `docs/decisions/0014`; not the end of a web address. */
const DOCUMENT = /(?<![\w/:.-])(?:docs\/[\w./-]*\w|[\w./-]*\w\.md)(?:#[\w-]+)?/g

/** Every document that a comment of a source file names, in order. */
export function documentsNamedIn(path: string, source: string): Link[] {
  const comments = COMMENTS[extname(path)]
  if (comments === undefined) return []
  return [...source.matchAll(comments)].flatMap(({ 1: comment, index }) =>
    [...(comment ?? '').matchAll(DOCUMENT)].map((name) => ({
      target: name[0],
      line: source.slice(0, index + name.index).split('\n').length,
    })),
  )
}

/** The file or folder of a name in a comment, from the root or beside the source; of a page, the beginning of its name is enough. */
function findNamed(root: string, source: string, file: string): string | undefined {
  const places = [join(root, file), resolve(root, dirname(source), file)]
  const begins = (place: string) => {
    const folder = dirname(place)
    const entries = existsSync(folder) && statSync(folder).isDirectory() ? readdirSync(folder) : []
    return entries.filter((name) => name.startsWith(`${basename(place)}-`)).map((name) => join(folder, name))[0]
  }
  return places.find((place) => existsSync(place)) ?? begins(places[0]!)
}

type Anchors = (path: string) => Promise<Set<string>>

function createAnchors(): Anchors {
  const known = new Map<string, Set<string>>()
  return async (path) => {
    const anchors = known.get(path) ?? anchorsIn(await readFile(path, 'utf8'))
    known.set(path, anchors)
    return anchors
  }
}

/** What is wrong with a link to `found`; undefined when it leads somewhere. */
async function faultOf(root: string, found: string | undefined, anchor: string | undefined, anchorsOf: Anchors) {
  if (found !== undefined && relative(root, found).startsWith('..')) return 'which leaves the repository'
  if (found === undefined || !existsSync(found)) return 'which does not exist'
  if (anchor === undefined || !statSync(found).isFile() || (await anchorsOf(found)).has(anchor)) return undefined
  return `but "${relative(root, found)}" has no such heading`
}

/** Checks documents and sources given by their paths under `root`. Resolves with one sentence for each broken link. */
export async function findBrokenLinks(root: string, paths: readonly string[]): Promise<Fault[]> {
  const faults: Fault[] = []
  const anchorsOf = createAnchors()
  for (const path of paths) {
    const text = await readFile(join(root, path), 'utf8')
    const isDocument = path.endsWith('.md')
    for (const { target, line } of isDocument ? linksIn(text) : documentsNamedIn(path, text)) {
      if (ELSEWHERE.test(target)) continue
      const [file = '', anchor] = target.split('#', 2)
      const found = !isDocument
        ? findNamed(root, path, file)
        : file === ''
          ? join(root, path)
          : resolve(root, dirname(path), decodeURIComponent(file))
      const fault = await faultOf(root, found, anchor, anchorsOf)
      if (fault !== undefined)
        faults.push(`${path}:${line} ${isDocument ? 'links to' : 'names'} "${target}", ${fault}.`)
    }
  }
  return faults
}

/** The documents and sources that git knows or would take, so that nothing installed or built is read. */
export async function listFiles(root: string): Promise<string[]> {
  const patterns = ['.md', ...Object.keys(COMMENTS)].map((ending) => `*${ending}`)
  const args = ['ls-files', '--cached', '--others', '--exclude-standard', '-z', ...patterns]
  const { stdout } = await promisify(execFile)('git', args, { cwd: root })
  // A file with a merge conflict is listed once for each side.
  return [...new Set(stdout.split('\0'))].filter((name) => name !== '' && existsSync(join(root, name))).sort()
}

if (import.meta.main) {
  const paths = await listFiles(ROOT)
  const faults = await findBrokenLinks(ROOT, paths)
  for (const fault of faults) process.stderr.write(`${fault}\n`)
  if (faults.length > 0) process.exitCode = 1
  else process.stdout.write(`The links of ${paths.length} documents and sources resolve.\n`)
}
