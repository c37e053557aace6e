import { decodeFully, decodeOnce } from '../kernel/escapes.ts'
import { foldCase } from '../kernel/names.ts'

/*
 * One path is sent, and servers read it in several ways: nginx and Express join slashes, WSGI and PHP decode `%2F`, Tomcat cuts `;v=1`,
 * Windows drops final dots and spaces, IIS ignores letter case, Rails takes `.json` for a format, PHP runs `/index.php/…` as `/…`. A
 * restriction fires on any of these readings, an allow list has to hold for all that lead to another resource.
 */

/** Without any: the path is oddly spelled and too long to tell. */
export type PathReadings = {
  /** As sent, then as another server may read it. */
  readonly all: readonly string[]
  /** For restrictions: in lower case, also without the name of a script or the suffix of a format. */
  readonly loose: readonly string[]
}

/** Read in one way by every server. */
const PLAIN = /^(?:\/[a-z0-9_~!$&'()*+,=:@-]+)+$/
const SCRIPT = /^\/[^/]+\.(?:php\d?|phtml|cgi|fcgi|pl|py|asp|aspx|ashx|jsp|do)(?=\/)/
const FORMAT = /(?<=[^/])\.(?:json|xml|html?|js|csv|txt|rss|atom|ya?ml|php|aspx?|jsp|do|action)$/

/** The longest path that is read in several ways, in characters; servers take no longer ones by default. */
const MAX_LENGTH = 8_192

export function readPath(path: string): PathReadings {
  if (path === '/' || PLAIN.test(path)) return { all: [path], loose: [path] }
  if (path.length > MAX_LENGTH) return { all: [], loose: [] }
  const all = new Set<string>()
  // Some servers clean before they decode, some after, and some decode twice.
  for (let forms = [path], layers = 0; layers < 3; layers++) {
    forms = forms.flatMap((form) => [form, cleaned(form)])
    for (const form of forms) all.add(form).add(form.replace(/\/{2,}/g, '/'))
    forms = [...new Set(forms.map(decodeOnce))]
  }
  for (const form of [path, cleaned(path)]) {
    const decoded = decodeFully(form) ?? form
    all.add(decoded).add(cleaned(decoded))
  }
  const loose = new Set([...all].map(foldCase))
  for (const form of [...loose]) {
    const withoutScript = form.replace(SCRIPT, '')
    loose.add(withoutScript).add(withoutScript.replace(FORMAT, ''))
  }
  return { all: [...all], loose: [...loose] }
}

/** Without path parameters, white space, final dots, empty segments, and what a second decoding makes a query of. */
function cleaned(path: string): string {
  const segments = path
    .split(/[?#]/, 1)[0]!
    .split(/[/\\]/)
    .map((segment) => trimmed(segment.split(';', 1)[0]!))
  return `/${segments.filter((segment) => segment !== '').join('/')}`
}

function trimmed(segment: string): string {
  let end = segment.length
  while (end > 0 && (segment[end - 1] === '.' || isBlank(segment.charCodeAt(end - 1)))) end--
  let start = 0
  while (start < end && isBlank(segment.charCodeAt(start))) start++
  return segment.slice(start, end)
}

const isBlank = (code: number): boolean => code <= 0x20 || code === 0x7f || code === 0xa0

/** The glob without what only says that something may follow a slash; null when it ends otherwise. Servers read a folder with and without it. */
export function withoutFinalSlash(glob: string): string | null {
  const shorter = glob.replace(/\/(?:\*\*)?$/, '')
  return shorter === glob || shorter === '' ? null : shorter
}
