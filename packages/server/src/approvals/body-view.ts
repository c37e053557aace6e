import { hash } from 'node:crypto'
import {
  type BodyView,
  LISTED_VALUE_CHARACTERS,
  LISTED_VALUES,
  SHOWN_HEAD_BYTES,
  SHOWN_TAIL_BYTES,
} from '@alter-vault/contracts'
import { topMembers } from '../kernel/strict-json.ts'
import { FormData } from '../policy/form-data.ts'
import { type BodyReading, readBody } from '../policy/request-body.ts'

type Options = { contentEncoding?: string | null; hidden?: boolean; whole?: boolean }

/**
 * A body as a person reads it: its exact text where it is text, never a rendering, and read as the rules read it. `hidden`: only size and
 * hash. Unless `whole`, only the first and the last part of a long one.
 */
export function bodyView(
  bytes: Buffer,
  contentType: string | null,
  { contentEncoding = null, hidden = false, whole = false }: Options = {},
): BodyView {
  const known = {
    content_type: contentType,
    size_bytes: bytes.length,
    sha256: hash('sha256', bytes, 'hex'),
    encoding: null,
    content: null,
    tail: null,
    omitted_bytes: 0,
    doubt: null,
    values: [],
    values_total: 0,
  }
  if (bytes.length === 0) return { ...known, kind: 'empty' }
  if (hidden) return { ...known, kind: 'hidden' }
  const reading = readBody(bytes, contentType, contentEncoding)
  const { kind, text, value } = reading
  const isMisleading = value instanceof FormData && value.isMisleading
  return {
    ...known,
    kind: text === null ? 'binary' : kind === 'json' || kind === 'form' ? kind : 'text',
    doubt: isMisleading ? 'ambiguous' : reading.doubt,
    ...shownOf(bytes, text === null ? 'base64' : 'utf8', whole),
    ...valuesOf(reading),
  }
}

function shownOf(
  bytes: Buffer,
  encoding: 'utf8' | 'base64',
  whole: boolean,
): Pick<BodyView, 'encoding' | 'content' | 'tail' | 'omitted_bytes'> {
  if (whole || bytes.length <= SHOWN_HEAD_BYTES + SHOWN_TAIL_BYTES) {
    return { encoding, content: bytes.toString(encoding), tail: null, omitted_bytes: 0 }
  }
  let end = SHOWN_HEAD_BYTES
  let start = bytes.length - SHOWN_TAIL_BYTES
  if (encoding === 'utf8') {
    while (isContinuation(bytes[end])) end--
    while (isContinuation(bytes[start])) start++
  }
  return {
    encoding,
    content: bytes.toString(encoding, 0, end),
    tail: bytes.toString(encoding, start),
    omitted_bytes: start - end,
  }
}

/** A byte of UTF-8 in the midst of a character. */
const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80

function valuesOf({ kind, text, value }: BodyReading): Pick<BodyView, 'values' | 'values_total'> {
  const { members, total } = kind === 'json' ? topMembers(text!, LISTED_VALUES) : fieldsOf(value)
  const values = members.map((member) => {
    const cut = member.value.length > LISTED_VALUE_CHARACTERS
    return { ...member, value: cut ? member.value.slice(0, LISTED_VALUE_CHARACTERS).toWellFormed() : member.value, cut }
  })
  return { values, values_total: total }
}

function fieldsOf(form: unknown): ReturnType<typeof topMembers> {
  const fields = form instanceof FormData ? [...form] : []
  const members = fields.flatMap(([name, values]) => values.map((value) => ({ name, value })))
  return { members: members.slice(0, LISTED_VALUES), total: members.length }
}
