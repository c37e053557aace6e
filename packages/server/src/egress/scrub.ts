import type { HeaderList } from './header-rules.ts'

/** What stands where a credential was. */
export const CREDENTIAL_MARK = '[credential]'

/**
 * Values shorter than this are not searched for: they occur by chance in ordinary text, and replacing every "123" would
 * damage answers without hiding a thing that could not be guessed.
 */
const MIN_SECRET_LENGTH = 4
/** Shorter base64 pieces occur by chance in any large base64 body. */
const MIN_BASE64_LENGTH = 8
/** Most tokens hold only these characters, which no notation escapes. */
const NEVER_ESCAPED = /^[A-Za-z0-9._~-]+$/
/** At the end of a body that was cut, the first part of a credential counts from this length on. */
const MIN_CUT_LENGTH = 4

/** Finds one credential in text and bytes. */
export type Scrubber = {
  text(value: string): string
  headers(list: HeaderList): HeaderList
  /** `truncated` says that the body was cut, so its end may hold the beginning of a credential. */
  body(bytes: Buffer, options?: { truncated?: boolean }): Buffer
  /** True when anything was found since the scrubber was made. */
  found(): boolean
}

/**
 * Searches for each secret as it is, percent-encoded, JSON-escaped, HTML-escaped, and in base64 and base64url at all
 * three alignments, so also inside `user:secret` that was encoded as a whole. This hides accidental echoes; an upstream
 * that means to leak what it was given can always write it in a way that nobody looks for.
 */
export function createScrubber(secrets: readonly string[]): Scrubber {
  const needles = needlesOf(secrets)
  let found = false

  function text(value: string): string {
    let out = value
    for (const needle of needles) {
      if (out.includes(needle)) {
        found = true
        out = out.replaceAll(needle, CREDENTIAL_MARK)
      }
    }
    return out
  }

  return {
    text,
    headers(list) {
      // One search over all values: hardly ever is anything found.
      let values = ''
      for (const [, value] of list) values += `${value}\n`
      return needles.some((needle) => values.includes(needle)) ? list.map(([name, value]) => [name, text(value)]) : list
    },

    body(bytes, { truncated = false } = {}) {
      if (bytes.length === 0) return bytes
      let out = bytes
      for (const needle of needles) {
        if (out.includes(needle)) {
          found = true
          out = replaceAll(out, Buffer.from(needle))
        }
      }
      if (!truncated) return out
      const cutAt = beginningAtEnd(
        out,
        needles.map((needle) => Buffer.from(needle)),
      )
      if (cutAt === undefined) return out
      found = true
      return Buffer.concat([out.subarray(0, cutAt), Buffer.from(CREDENTIAL_MARK)])
    },

    found: () => found,
  }
}

/** Every form of every secret, longest first, so that a form that contains another is replaced whole. */
function needlesOf(secrets: readonly string[]): string[] {
  const needles: string[] = []
  const add = (form: string, shortest: number) => {
    if (form.length < shortest || needles.includes(form)) return
    let at = needles.length
    while (at > 0 && needles[at - 1]!.length < form.length) at -= 1
    needles.splice(at, 0, form)
  }
  for (const secret of secrets) {
    if (secret.length < MIN_SECRET_LENGTH) continue
    for (const form of writtenForms(secret)) add(form, MIN_SECRET_LENGTH)
    for (const piece of base64Forms(secret)) add(piece, MIN_BASE64_LENGTH)
  }
  return needles
}

function writtenForms(secret: string): string[] {
  if (NEVER_ESCAPED.test(secret)) return [secret]
  const json = JSON.stringify(secret).slice(1, -1)
  const ascii = json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const percent = encodeURIComponent(secret)
  const strict = percent.replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  const upper = [percent, strict, percent.replaceAll('%20', '+'), strict.replaceAll('%20', '+')]
  const html = secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return [
    secret,
    json,
    json.replaceAll('/', '\\/'),
    ascii,
    ascii.replaceAll('/', '\\/'),
    // Go and others escape these in JSON by default.
    ascii.replace(/[&<>]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`),
    html,
    html.replaceAll('"', '&quot;').replaceAll("'", '&#39;'),
    html.replaceAll('"', '&#34;').replaceAll("'", '&#x27;'),
    ...upper,
    ...upper.map((form) => form.replace(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase())),
  ]
}

/**
 * The characters of base64 text that depend on the secret alone, for each of the three places it can have in a group of
 * three bytes. Characters that it shares with its neighbors are left out.
 */
function base64Forms(secret: string): string[] {
  const padded = Buffer.from(`\0\0${secret}`)
  const forms: string[] = []
  for (let before = 0; before <= 2; before++) {
    const firstOwn = Math.ceil((before * 8) / 6)
    const endOwn = Math.floor(((padded.length - 2 + before) * 8) / 6)
    const text = padded.toString('base64', 2 - before).slice(firstOwn, endOwn)
    forms.push(text)
    if (/[+/]/.test(text)) forms.push(text.replaceAll('+', '-').replaceAll('/', '_'))
  }
  padded.fill(0)
  return forms
}

function replaceAll(bytes: Buffer, needle: Buffer): Buffer {
  const mark = Buffer.from(CREDENTIAL_MARK)
  const pieces: Buffer[] = []
  let from = 0
  for (;;) {
    const at = bytes.indexOf(needle, from)
    if (at === -1) break
    pieces.push(bytes.subarray(from, at), mark)
    from = at + needle.length
  }
  pieces.push(bytes.subarray(from))
  return Buffer.concat(pieces)
}

/** Where the longest beginning of a needle that ends the body starts. */
function beginningAtEnd(bytes: Buffer, needles: Buffer[]): number | undefined {
  let longest = 0
  for (const needle of needles) {
    const most = Math.min(needle.length - 1, bytes.length)
    for (let length = most; length >= MIN_CUT_LENGTH && length > longest; length -= 1) {
      if (bytes.subarray(bytes.length - length).equals(needle.subarray(0, length))) longest = length
    }
  }
  return longest === 0 ? undefined : bytes.length - longest
}
